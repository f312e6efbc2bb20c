"""The server of the site and of ingest: no client, however slow, holds a thread or more memory than its share.

    python -m auditsite.front [--role ingest] [--host HOST] [--port PORT] [--workers N] [--threads N] [APPLICATION]

One process accepts connections and hands each to the worker that has fewest (`gate`). In a worker whichever thread
is free takes the next connection that can be read or written, for as long as that takes no waiting (`worker`); Django
gets a request when all of it has come (`connection`, `body`), and its answer waits for a slow reader without a thread
(`answer`). What is too slow is closed (`bounds`). docs/decisions/0021 says why this and no library's server.
"""
