"""The admin: what auditors, operators and administrators see. Each module registers its pages."""

# ruff: noqa: F401
from audit.admin import accounting, receipts, reports, review, schemas, streams
from audit.admin.access import access_log, people, rights, scopes, writers
from audit.admin.archive import archived_records, archives
from audit.admin.completeness import coverage, gaps
from audit.admin.evidence import erasure, exports, redaction, statements
from audit.admin.expectations import rules, unmet
from audit.admin.imports import mappings
from audit.admin.ledger import checkpoints, verifications
from audit.admin.queue import discards, outages, parked, quarantine
from audit.admin.retention import legal_holds, requests
from audit.admin.search import records
