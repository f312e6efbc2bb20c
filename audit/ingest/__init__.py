"""ingest: an event comes in and is kept.

accept         `accept` validates an event that comes now
record         `record` stores events, else parks them, else spools them; `store` stores or fails
statements     the statements that insert records, with and without what each column costs
together       calls what threads ask for at the same time once for all of them
own_event      `document` writes an act of the store or of a person as an event
trail          `add` records such an act, `add_change` one that made or changed something
notify         `notify` sends an alarm about what was found, until it was delivered
invalid        `keep` parks what is not valid as it came, for a person to correct
signed_copies  signs what Redis keeps for the time without PostgreSQL, and opens what the store itself signed
parked_counts  counts the answers 202 until PostgreSQL can be told
rejections     the closed set of reasons for which events are refused
rejection_counters  `count` counts and samples refused events; `gather` brings them to PostgreSQL
"""
