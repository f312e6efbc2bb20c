"""recovery: backups, and what a store that was restored from one lacks.

check          says what a restored store lacks, by those who have it
backup         `back_up` copies the anchor, the spool, Redis and PostgreSQL, in this order, under a signed manifest
backup_check   `check_backup` says whether a backup is whole
base_backup    has PostgreSQL's own program copy PostgreSQL
safe           private keys, encrypted with a passphrase, where somebody asks for them
history        which backups and restore drills there were
"""
