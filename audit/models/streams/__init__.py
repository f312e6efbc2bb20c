"""streams: where the log is streamed to.

cursors   each target of streams, how far it has taken the log, and what its last error was
"""
