"""Gaps and manifests to be shown."""

import secrets
from typing import Any

from audit.completeness import manifests, sequences
from audit.models import Gap, Manifest
from tests.audit.completeness.conftest import numbers_of


def a_gap(*seqs: int) -> Gap:
    writer = f"writer-{secrets.token_hex(4)}"
    sequences.apply(numbers_of(writer, *(seqs or (1, 5))))
    return Gap.objects.get(numbering__writer=writer)


def a_manifest(**said: Any) -> Manifest:
    window = {"since": "2026-08-18T10:00:00Z", "until": "2026-08-18T11:00:00Z"}
    return manifests.submit(window | (said or {"count": 4}), writer=f"writer-{secrets.token_hex(4)}")
