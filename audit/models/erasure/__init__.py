"""erasure: what can be erased of records.

requests  rules, requests and decisions
values    what stands beside a record
"""
