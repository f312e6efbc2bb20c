"""Calls by which other systems send their own events.

base         a body of foreign events in, and what became of each
any_source   by the name of a mapping
kubernetes   the audit webhook of an API server
cloudevents  CloudEvents, in their three modes
otlp         logs of OpenTelemetry
"""
