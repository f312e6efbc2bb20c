"""Tokens of an OpenID Connect issuer, or of Kubernetes for its service accounts, in place of a writer's key.

issuer_keys  the issuer's public keys, which outlive its outages for a while
check        a token's signature and claims, and the writer that its subject is
"""
