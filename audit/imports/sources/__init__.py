"""What is peculiar to formats.

explode      which events a document of a source holds
cloudevents  a CloudEvent whose attributes are headers, as the structured one that it stands for
otlp         logs of OpenTelemetry: each record with its resource and its scope
protobuf     the same sent in protobuf, as the JSON that it stands for
syslog       lines of RFC 5424
table        rows of CSV
"""
