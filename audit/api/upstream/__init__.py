"""What clients of Kubernaut's Data Storage service call besides, in its own forms.

notifications  its notification audits, stored as events
refused        what it derives from events, and this store does not
"""
