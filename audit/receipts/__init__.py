"""receipts: a signed promise to the writer, and whether it was kept.

issue   `sign` receipts of recorded events
verify  is what a receipt promises kept?
locate  where an event is: log, store, queue, quarantine, discarded
broken  stores and announces receipts whose promise was not kept
"""
