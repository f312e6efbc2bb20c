"""Endpoints that hand out evidence, or have what can be erased of it erased."""
