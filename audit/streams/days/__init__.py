"""days: the records of a UTC day as Parquet files, under a signed manifest.

columns   the types of the columns, and rows for them
make      `make`: write the files of a day, then its manifest
manifest  the signed manifest: what it says, and reading it back
check     `check`: hold the files of a day against their manifest and the log
"""
