"""What stands around the pages: the rail, the search of the header, tasks, help, errors, and the first steps."""
