"""review: a named person looks at each day, and signs.

exception_report  what of a day a person has to look at
signoff           `sign` a day; `find_missed` days that nobody signed in time
"""
