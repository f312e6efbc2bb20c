"""receipts: a signed promise to the writer, and whether it was kept.

issue   `sign` receipts of recorded events
verify  `verify_receipts`: is what they promise kept?
locate  `find` where events are: log, store, queue, quarantine, discarded
broken  `store`, `notify_unheard` and `close` promises that were not kept
"""
