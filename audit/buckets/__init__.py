"""buckets: S3-compatible storage, as archives and streams use it.

address   `s3://BUCKET/PREFIX`, read
storage   what is said of a server and of locks
client    a connection to the server: bounded in time, tries and memory; certificates are always checked
bucket    put, get and list objects below a prefix, with their versions and locks; there is no delete
faults    what the server or the network said, in words, and whether it may pass by itself
"""
