"""The benches judge rightly: what they say of what they measured."""
