"""accounting: received = stored + parked + dead + quarantined + discarded + rejected.

balance        the balance of each day and writer
stored_counts  stored records by writer and day
queue_counts   copies the queue's counters from Redis to PostgreSQL
daily          records the balance of each day that is over
"""
