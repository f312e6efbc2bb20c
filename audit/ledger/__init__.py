"""ledger: the sealed log.

seal            `Sealer.once`: assign leaves to new records and sign a checkpoint
publish         the sealer process; publishes checkpoints to witnesses and the anchor
reader          reads heads, hashes and proofs of the log
keys            reads, creates and rotates the signing keys
witnesses       asks witnesses to cosign
anchor          keeps checkpoints outside of the database
witness_server  a stand-alone witness
verify/         compares the log with records, signatures and copies elsewhere
"""
