"""Pages that find records and show one."""
