"""search: find records.

query        parse parameters; `page`, `count`
filters      query terms as conditions
terms        a query as plain data, for programs without our grammar
cost         estimate what a query costs; refuse too expensive ones
timeline     the events of a correlation, actor or resource
saved_views  `save`, `rename`, `remove` and list saved searches
alarms       `tell` owners of saved searches which new records match
"""
