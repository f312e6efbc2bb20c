"""The HTTP API of docs/api.md: parse, call one verb, render."""
