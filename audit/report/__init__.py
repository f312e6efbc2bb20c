"""Compliance reports: what the store shows of a period, as of one checkpoint, for chosen sets of controls."""
