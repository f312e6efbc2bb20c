"""Attacks on the store by somebody who may do anything to its database or to its Redis, and what becomes of each."""
