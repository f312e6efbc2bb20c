"""streams: the log, record after record, to where people want it.

stream    `stream`: give a target what it lacks, in the order of the log, each record at least once
config    `streams.toml`: which targets there are, and where their secrets lie
leaves    records, and what stands in the place of one that is gone or refused, as lines of JSON
batches   lines in portions that a target takes at once
cursor    the durable place of a target in the log; one streamer at a time moves it
faults    why a target did not take a batch
state     lag, health and alarms of all targets
kinds     the targets of the file, with what all kinds have
targets   the kinds of targets: file, HTTP, Splunk, Elastic, syslog
days      the records of a UTC day as Parquet files, under a signed manifest
"""
