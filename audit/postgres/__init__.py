"""postgres: talking to PostgreSQL, with an end to every wait.

sql         `rows` of a query, `run` a statement
portions    rows that are bounded by bytes, not by their number
gateway     bounded connections, pool and breaker of recording
breaker     stops asking a server that is down, until a probe succeeds
durability  `durability`: would it keep what it confirmed, and on how many servers
clock       `skew`: how far the clocks of web, Redis and PostgreSQL are apart
replication a commit that its synchronous standby has not confirmed
replica     `reading` from a replica what is only shown, as far as it keeps up
reasons     what to do where no connection could be made
addresses   `addresses`: can the files of TLS be read, and is it known who answers
faults      what a failed write means: down, busy, refused, the sender's fault
router      sends reads to the reader's connection
partitions  makes the partitions of the months to come
backend/    Django's database backend with a deadline on the client's side
"""
