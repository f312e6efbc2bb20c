"""ledger: the sealed log.

seal            `Sealer.once`: assign leaves to new records and sign a checkpoint
publish         the sealer process; publishes checkpoints to witnesses and the anchor
outside         what anchor and witnesses have
crosslinks      the names that the log had, and what a head from outside is to it
resume          lets the log of a restored store go on, under a signed cross-link
reader          reads heads, hashes and proofs of the log
keys            reads, creates and rotates the signing keys
witnesses       asks witnesses to cosign
anchor          keeps checkpoints outside of the database
witness_server  a stand-alone witness
verify/         compares the log with records, signatures and copies elsewhere
"""
