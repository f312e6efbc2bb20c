"""Streams: a target that is away, slow, failing, and a streamer that is killed.

far_end  a server that takes batches as it is told, and notes what it has taken
drill    the drill, `make stream-drill`
"""
