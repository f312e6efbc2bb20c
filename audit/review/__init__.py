"""review: somebody looks at each day, and signs.

exception_report  what of a day a person has to look at
signoff           signs a day; finds the days that nobody signed in time
"""
