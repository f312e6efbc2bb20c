"""completeness: what should have come and did not.

reconcile   follows the log, brings all that is counted of it up to date, alerts
sequences   gaps in the numbers of writers
heartbeats  accepts the heartbeats of writers
manifests   compares what a writer says it sent with the store
silence     the usual silence of each writer, and who is silent for longer
coverage    events by writer and hour
causes      why a writer's hour is empty
summary     all of it by writer, and in one sentence
explain     people explain what is missing
"""
