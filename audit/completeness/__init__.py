"""completeness: what should have come and did not.

reconcile   `reconcile` follows the log, brings all counts up to date, judges and alerts
sequences   `apply` events and heartbeats: gaps in writers' sequence numbers
heartbeats  `beat` accepts a writer's heartbeat and answers which numbers are missing
manifests   `submit` and `compare` what a writer says it sent with the store
silence     `apply` events; `silent` writers: silent for longer than usual
coverage    `apply` events, `rebuild` and `sums`: events by writer and hour
causes      `find` why a writer's hour is empty
summary     `summarize` all of it by writer, and in one sentence
findings    `how_many` and `by_span`: how many findings are open
counts      `fold`, and what is counted of each writer
explain     `assign` and `explain` findings and losses
"""
