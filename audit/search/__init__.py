"""search: find records.

query        `read` parameters, `page` records, count them
filters      the terms of a query as conditions of the database
cost         estimates what a query would read, and refuses the dear ones
timeline     the events of a correlation, an actor or a resource, in steps
saved_views  `save`, `share` and `remove` saved queries
"""
