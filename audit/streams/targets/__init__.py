"""targets: what a stream can go to.

base     what each target does: `resume`, `send`, `close`
file     files of JSON lines in a folder, by size and day
post     one HTTP connection that is kept, with bounds and deadlines
http     any HTTP server that takes JSON or lines of JSON
splunk   Splunk's HTTP Event Collector, with acknowledgement
elastic  Elasticsearch and OpenSearch by `_bulk`
syslog   RFC 5424 over TCP and TLS
"""
