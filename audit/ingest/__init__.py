"""ingest: an event comes in and is kept.

record         `record` stores events, else parks them, else spools them; `store` stores or fails
trail          `add` records the store's own acts and those of people
parked_counts  counts the answers 202 until PostgreSQL can be told
rejections     counts and samples refused events, by reason
"""
