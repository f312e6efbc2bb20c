"""erasable: members of events that can be erased later.

commitments  what the digest covers of them, and what stands beside the event
kept         what stands beside it for each
rules        which members these are
"""
