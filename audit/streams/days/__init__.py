"""days: the records of a UTC day as Parquet files in a folder or a bucket, under a signed manifest.

columns   the types of the columns, and rows for them
part      one file of a day: its rows, what its metadata says of them, and whether they lead to the log
acts      what the store records of days; by it a file that is there already is known as our own
make      `make`: write the files of a day, then its manifest
manifest  the signed manifest: what it says, and reading it back
check     `check`: hold the files of a day against their manifest and the log
"""
