"""The admin: what auditors, operators and administrators see."""
