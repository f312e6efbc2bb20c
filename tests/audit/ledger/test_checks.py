"""The checks at start about keys of the log, what is outside, and the function that computes leaves."""

from pathlib import Path
from typing import Any

import psycopg
from django.test import override_settings

from audit import checks
from audit.formats.note import Signer
from audit.ledger.keys import DEVELOPMENT


def ids(found: list[Any]) -> list[str]:
    return [str(one.id) for one in found]


def test_a_missing_key_and_the_development_key_are_errors() -> None:
    assert ids(checks.seal_key(None)) == []
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""):
        assert ids(checks.seal_key(None)) == ["audit.E006"]
    with override_settings(SEAL_KEY=DEVELOPMENT.encode()):
        assert ids(checks.seal_key(None)) == ["audit.E007"]
        with override_settings(DEBUG=True):
            assert ids(checks.seal_key(None)) == []


def test_nothing_outside_is_a_warning_and_a_damaged_witness_an_error(tmp_path: Path) -> None:
    key = Signer("w.example", bytes(32)).verifier
    assert ids(checks.outside_trust(None)) == ["audit.W004"]
    with override_settings(SEAL_ANCHOR_FILE=tmp_path / "anchor"):
        assert ids(checks.outside_trust(None)) == []
    with override_settings(SEAL_WITNESSES=[f"http://w.example={key.as_cosigner()}"]):
        assert ids(checks.outside_trust(None)) == []
    for wrong in ("http://w.example", f"http://w.example={key}", f"w.example={key.as_cosigner()}", "=", ""):
        with override_settings(SEAL_WITNESSES=[wrong]):
            assert ids(checks.outside_trust(None)) == ["audit.E008"], wrong


def test_the_function_that_computes_leaves_is_checked(store: psycopg.Connection[Any]) -> None:
    """Elsewhere: what others store meanwhile would have a leaf that is not its own, and be called altered for good."""
    body = checks.body_of("audit_leaf_hash", "0003_log.sql")
    create = (
        "CREATE OR REPLACE FUNCTION audit_leaf_hash(event_id uuid, digest bytea, received_at timestamptz, "
        "parked_at timestamptz, stored_at timestamptz) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE "
        "AS $body${}$body$"
    )
    store.execute(create.replace("{}", " SELECT digest ").encode())
    try:
        assert ids(list(checks.functions())) == ["audit.E002"]
    finally:
        store.execute(create.replace("{}", body).encode())
    assert ids(list(checks.functions())) == []
