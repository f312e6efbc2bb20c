"""Attacks on the store by somebody who may do anything to its database, and what becomes of each."""
