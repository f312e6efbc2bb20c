"""erasure: personal data out of records whose digests stay (GDPR Art. 17).

rules      which members are stored so that they can be erased: made by officers, each change a record
requests   asked for by one person, decided by another, carried out by the database
elsewhere  `places` that an erasure does not reach
lines      what bundles have of such members
"""
