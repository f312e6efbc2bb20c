"""accounting: received = stored + parked + dead + quarantined + discarded + rejected.

balance        `compute` the balance of each writer and day
stored_counts  `apply` sealed events to the counts of stored records
queue_counts   `copy` the queue's counters from Redis to PostgreSQL
restored       `settle` a queue that was restored from an older file
daily          `write` the balance of each finished day into the log
"""
