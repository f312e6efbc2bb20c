"""formats: what auditors re-implement in other languages. Pure Python: no Django, no input or output.

canonical    strict JSON, the RFC 8785 form of an event, and its digest
event        the event: its schema, its limits, its accepted form
entry        the log entry of a record, and its leaf hash
merkle       RFC 6962 trees: roots, proofs, verification
multiproof   the proof of many leaves at once
tiles        the hashes that the store keeps of the tree
note         signed notes, tree heads, keys
receipt      the signed receipt
grammar      the query language; `fields` lists what it can ask for
sampling     a sample that anybody can draw again from its seed
expectation  rules about events that must come
erasable     members that can be erased later: commitments to them
redaction    redaction rules, and how they change a record
spellings    UUIDs and addresses, which have several spellings
times        times and days as people write them
"""
