"""ledger: the sealed log.

seal            `Sealer.once`: give leaves to new records, sign a checkpoint
publish         the sealer's process; brings checkpoints to witnesses and anchor
reader          heads, hashes and proofs of the log
keys            reads, makes and rotates the keys that sign
witnesses       asks witnesses to cosign
anchor          keeps checkpoints outside of the database
witness_server  a witness of its own
verify/         compares the log with records, signatures and the outside
"""
