"""postgres: talking to PostgreSQL, with an end to every wait.

sql         `rows` of a query, `run` a statement
portions    rows that are bounded by bytes, not by their number
gateway     bounded connections, pool and breaker of recording
breaker     stops asking a server that is down, until a probe succeeds
durability  `durability`: would it keep what it confirmed, and on how many servers
clock       `skew`: how far the clocks of web, Redis and PostgreSQL are apart
replication a commit that its synchronous standby has not confirmed
replica     `reading` from a replica what is only shown, as far as it keeps up
faults      what a failed write means: down, busy, refused, the sender's fault
router      sends reads to the reader's connection
partitions  makes the partitions of the months to come
session_lock  one process at a time
connecting/ how a connection is made, and what helps where none can be
backend/    Django's database backend with a deadline on the client's side
"""
