"""Compare the log with records, signatures and copies elsewhere; say what was found, and what was not checked.

leaves       every leaf with its record, the tree with its nodes, and with every signed root
removed      leaves whose record went under a purge, by its certificate
checkpoints  every checkpoint: its signature, number and time; cosignatures, anchor, witnesses
young        the first checkpoint, which may be on its way outside still
unsealed     records without a leaf, and the tail that waits for the sealer
waiting      what of some records the sealer was given
correlation  the records of one correlation, each with its proof
pending      a moment in which the sealer may take what a correlation has
result       counts, findings, verdict
forget       runs that found nothing have an end
share        how much of the log was verified lately
"""

from audit.ledger.verify.result import Progress, RunReport, Verdict
from audit.ledger.verify.run import begin, newest, next_slice, resume, verify
from audit.ledger.verify.share import verified_share

__all__ = ["Progress", "RunReport", "Verdict", "begin", "newest", "next_slice", "resume", "verified_share", "verify"]
