"""erasable: members of events that can be erased later.

commitments  what the digest covers of them, and what stands beside the event
rules        which members these are
"""
