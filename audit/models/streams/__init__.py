"""streams: where the log is streamed to, and which schemas what comes in has to fit.

cursors   each target of streams, how far it has taken the log, and what its last error was
schemas   JSON Schemas of event types, each revision a row
"""
