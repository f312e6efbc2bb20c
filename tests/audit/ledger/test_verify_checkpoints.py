"""Checkpoints in a verification: those of one size are taken in portions, and none past what a part covers."""

from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.formats import note
from audit.ledger import keys, reader, verify
from audit.ledger.seal import Sealer
from audit.ledger.verify import checkpoints, leaves
from audit.models import Verification
from tests.attacks.catalogue import statement
from tests.attacks.scene import send


def sign_again(superuser: psycopg.Connection[Any], times: int) -> int:
    """Sign the end of the log so many times more, as an idle log is; return the number of the first."""
    head, signer = reader.signed_head(), keys.load().signer
    assert signer is not None
    text = note.TreeHead(signer.name, head.size, bytes(head.root)).text
    for number in range(head.number + 1, head.number + 1 + times):
        at = head.created_at.replace(microsecond=0)
        signed = note.join(text, [signer.sign(text), signer.cosign(text, int(at.timestamp()))])
        superuser.execute(
            "INSERT INTO audit_checkpoint VALUES (%s, %s, %s, %s, %s)", [number, head.size, head.root, signed, at]
        )
    superuser.execute(
        "UPDATE audit_head SET kept = true, (number, note, created_at) = (SELECT number, note, created_at"
        " FROM audit_checkpoint ORDER BY number DESC LIMIT 1)"
    )
    return head.number + 1


@pytest.fixture
def few_checkpoints(small_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHUNK", 5)
    monkeypatch.setattr(leaves, "CHECKPOINTS", 10)


def in_parts(run: Verification) -> list[Verification]:
    """The run after each part of it, to its end."""
    parts = []
    while run.ended_at is None:
        run = verify.resume(Verification.objects.get(pk=run.pk), seconds=-1)
        parts.append(run)
        assert len(parts) < 100
    return parts


def test_checkpoints_of_one_size_are_taken_in_portions_and_each_once(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 95)
    send(20)
    Sealer().once(from_start=True)
    parts = in_parts(verify.begin(requested_by="somebody"))
    assert parts[-1].verdict == "VERIFIED"
    assert [parts[-1].counts[name] for name in ("records", "leaves", "roots")] == [620, 620, first + 96]
    assert parts[-1].counts["checkpoints"] == first + 96
    places = [part.checkpoints_position for part in parts if part.position == 600]
    assert len(places) >= 9 and places == sorted(set(places)), "each part goes on where the one before ended"


def test_what_is_wrong_among_checkpoints_of_one_size_is_found_by_a_run_in_parts(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 50)
    statement(f"UPDATE audit_checkpoint SET root = sha256('') WHERE number = {first + 33}")(store, None)  # type: ignore[arg-type]
    statement(f"DELETE FROM audit_checkpoint WHERE number = {first + 41}")(store, None)  # type: ignore[arg-type]
    parts = in_parts(verify.begin(requested_by="somebody"))
    assert (parts[-1].verdict, parts[-1].counts["checkpoints"]) == ("ALTERED", first + 49)
    found = {(finding.kind, finding.index) for finding in parts[-1].findings.all()}
    assert found == {("ALTERED", first + 33), ("MISSING", first + 41)}


def test_checkpoints_that_nobody_signed_are_taken_in_portions_too(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 50)
    forged = f"UPDATE audit_checkpoint SET note = replace(note, '+', '/') WHERE number >= {first}"
    statement(forged)(store, None)  # type: ignore[arg-type]
    parts = in_parts(verify.begin(requested_by="somebody"))
    places = [part.checkpoints_position for part in parts if part.position == 600]
    assert len(places) >= 5 and parts[-1].verdict == "FORKED"


def test_a_part_of_the_log_reads_no_checkpoint_past_its_end(store: psycopg.Connection[Any]) -> None:
    sign_again(store, 50)
    found = verify.verify("range", first=120, last=130)
    assert (found.verdict, found.counts["checkpoints"]) == ("VERIFIED", 2)
    with CaptureQueriesContext(connections["reader"]) as queries:
        verify.verify("range", first=120, last=130)
    read = [query["sql"] for query in queries if "number" in query["sql"] and 'size" <=' in query["sql"]]
    assert read and all("LIMIT 1" in query for query in read), "those past the end are left out by their numbers"


def test_a_run_of_the_newest_begins_among_an_idle_logs_checkpoints_where_the_last_one_ended(
    store: psycopg.Connection[Any],
) -> None:
    last = sign_again(store, 50) + 49
    assert verify.newest().checkpoints_position == last
    again = verify.newest()
    assert (again.verdict, again.counts["checkpoints"], again.counts["roots"]) == ("VERIFIED", 1, 1)
    sign_again(store, 3)
    assert verify.newest().counts["checkpoints"] == 4
