"""formats: what auditors read and write again in other languages: pure Python, no Django, no input or output.

canonical    strict JSON, the RFC 8785 form of an event, and its digest
event        the event: its schema, its limits, its accepted form
entry        the log entry of a record, and the hash of its leaf
merkle       RFC 6962 trees: roots, proofs, verification
multiproof   the proof of many leaves at once
tiles        the hashes that are kept of the tree
note         signed notes, checkpoints, keys
receipt      the signed receipt
grammar      the query language; `fields` lists what it can ask for, `terms` is a query as plain data
sampling     a sample that can be drawn again from its seed
expectation  rules about events that must come
redaction    rules of redaction, and what they do to a record
times        times and days as people write them
"""
