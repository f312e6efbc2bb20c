"""verify: compare the log with records, signatures and the outside. Says what it found, and what it did not check.

leaves.py       every leaf with its record, the tree with its nodes, and with every signed root
heads.py        every checkpoint: its signature, its number, its time; cosignatures, anchor, witnesses
strays.py       records without a leaf, and the tail that waits for the sealer
correlation.py  the records of one correlation, each with its proof
report.py       counts, findings, verdict
"""

from audit.ledger.verify.result import Progress, RunReport, Verdict
from audit.ledger.verify.run import begin, newest, next_slice, resume, verify

__all__ = ["Progress", "RunReport", "Verdict", "begin", "newest", "next_slice", "resume", "verify"]
