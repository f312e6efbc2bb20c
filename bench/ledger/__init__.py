"""What sealing, verifying and following the log cost."""
