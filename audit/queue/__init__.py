"""queue: the audit side of the dead letter queue; the queue itself is the package `dlq`.

drain        `drain` moves parked events into PostgreSQL; `mend_queue` repairs after a restart of Redis
actions      `retry`, `snooze`, `put_aside`, `pause`, `resume`, `rebuild`: acts of people, recorded first
quarantine   moves parked events to a table that only grows, and back
discards     gives a parked event up: one person asks, another one approves
corrections  sends a corrected copy of a dead event as a new one
refill       brings back what was drained and is in no record, after a restore from a backup
renamed      keeps an acknowledged event whose id was taken, under a new one
outages      keeps each outage with its figures
visible      which parked events may be seen now
"""
