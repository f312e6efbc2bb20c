"""Bundles of records with members that can be erased: values with their salts, what was erased with its basis."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.evidence import extract, proof_bundle
from audit.evidence.erasure import requests
from audit.ledger import seal
from audit.models import Record
from audit.search import query
from tests.audit.evidence.conftest import ME, PINNED, lines_of, made, path, put, signed_anew, unpacked
from tests.audit.evidence.erasure.conftest import BASIS, asked, person, stored
from tests.auditor import verify

Checked = Callable[..., tuple[int, str]]


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Checked:
    def checked(where: Path, *arguments: str) -> tuple[int, str]:
        status = verify.main(["evidence", str(where), *PINNED, *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


def sealed(email: str, count: int = 2, **changes: Any) -> list[Record]:
    rows = stored(email, count, **changes)
    seal.Sealer().once()
    return rows


def bundle_of(rows: list[Record], **options: Any) -> Any:
    return made(query=f"correlation:{rows[0].correlation_id}", **options)


def erase(email: str, **changes: str) -> None:
    request = requests.ask(asked(email, **changes), by="olga")
    requests.decide(request, approve=True, by="otto")
    requests.carry_out(request)


def test_a_bundle_has_values_with_their_salts_and_is_verified_before_and_after_an_erasure(
    checked: Checked, tmp_path: Path
) -> None:
    email = person()
    rows = sealed(email)
    before = bundle_of(rows, with_csv=True)
    erase(email, paths="event_data.*")
    after = bundle_of(rows, with_csv=True)

    record = json.loads(lines_of(unpacked(before, tmp_path / "before"))[0])
    assert (record["event_data"]["email"], record["erased"]) == (email, {})
    assert record["salts"].keys() == {"actor_ip", "event_data.email"}
    record = json.loads(lines_of(unpacked(after, tmp_path / "after"))[0])
    assert (record["event_data"]["email"], record["actor_ip"]) == ("$erasable", "192.0.2.7")
    assert record["erased"]["event_data.email"]["basis"] == BASIS
    assert email not in (tmp_path / "after" / "records-0001.csv").read_text()
    assert BASIS in (tmp_path / "after" / "records-0001.csv").read_text()
    for bundle in (before, after):
        status, printed = checked(path(bundle))
        assert status == 0, printed
    assert f"that 2 members were erased under {BASIS} on " in printed


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda record: record["event_data"].update(email="otto"), "is not the value that was accepted"),
        (lambda record: record["salts"].pop("event_data.email"), "event_data.email lost its value"),
        (lambda record: record["erasable"].pop("event_data.email"), "was never accepted"),
    ],
)
def test_whoever_changes_a_value_in_a_bundle_is_found_out(
    change: Callable[[Any], Any], because: str, checked: Checked, tmp_path: Path
) -> None:
    folder = unpacked(bundle_of(sealed(person())), tmp_path / "bundle")
    lines = lines_of(folder)
    record = json.loads(lines[0])
    change(record)
    put(folder, [json.dumps(record, separators=(",", ":")).encode() + b"\n", *lines[1:]])
    signed_anew(folder)

    status, printed = checked(folder)

    assert status == 1
    assert because in printed


def test_a_redacted_value_is_there_without_its_salt_and_the_others_with_theirs(
    rules: Any, checked: Checked, tmp_path: Path
) -> None:
    email, kind = person(), f"erasure.t{person()[6:18]}"
    rows = sealed(email, event_type=kind)
    rules("event_data.email", event_type=kind, method="remove")
    bundle = bundle_of(rows)
    whole = bundle_of_unredacted(rows)

    record = json.loads(lines_of(unpacked(bundle, tmp_path / "bundle"))[0])
    assert "email" not in record["event_data"]
    assert record["salts"].keys() == {"actor_ip"}
    assert email not in b"".join(lines_of(tmp_path / "bundle")).decode()
    status, printed = checked(path(bundle))
    assert status == 4, printed
    originals = tmp_path / "originals.jsonl"
    originals.write_bytes(b"".join(lines_of(unpacked(whole, tmp_path / "whole"))))
    status, printed = checked(path(bundle), "--originals", str(originals))
    assert status == 0, printed
    erase(email, paths="actor_ip")
    status, printed = checked(path(bundle_of(rows)), "--originals", str(originals))
    assert status == 0, printed

    for change, because in (
        (lambda forged: forged.update(actor_ip="198.51.100.1"), "actor_ip is not the value that was accepted"),
        (lambda forged: forged["salts"].clear(), "actor_ip lost its value"),
    ):
        forged = json.loads(json.dumps(record))
        change(forged)
        put(tmp_path / "bundle", [json.dumps(forged, separators=(",", ":")).encode() + b"\n"])
        signed_anew(tmp_path / "bundle")
        status, printed = checked(tmp_path / "bundle", "--originals", str(originals))
        assert (status, because in printed) == (1, True), printed

    record["salts"]["event_data.email"] = "00" * 32
    put(tmp_path / "bundle", [json.dumps(record, separators=(",", ":")).encode() + b"\n"])
    signed_anew(tmp_path / "bundle")
    assert "the salt of its value is still here" in checked(tmp_path / "bundle")[1]


def bundle_of_unredacted(rows: list[Record]) -> Any:
    officer = ME._replace(may_unredacted=True)
    return made(officer, query=f"correlation:{rows[0].correlation_id}", unredacted=True)


def test_a_bundle_of_proofs_and_an_extract_have_the_values_too(tmp_path: Path, capsys: Any) -> None:
    rows = sealed(person())
    erase(rows[0].shown()["event_data"]["email"], paths="actor_ip")
    file = tmp_path / "bundle.jsonl"
    file.write_bytes(b"".join(proof_bundle.lines(list(Record.objects.filter(pk__in=[row.pk for row in rows])))))
    assert verify.main([str(file), *PINNED[:2]]) == 0
    assert f"that 2 members were erased under {BASIS}" in capsys.readouterr().out

    asked_for = {"q": f"correlation:{rows[0].correlation_id}"}
    answer = extract.make(ME, query.parse(asked_for), asked_for)
    file.write_text(json.dumps(answer))
    assert verify.main(["export", str(file), *PINNED[2:]]) == 0, capsys.readouterr().out


def test_the_search_does_not_find_what_can_be_erased() -> None:
    rows = stored(person())
    asked_for = {"q": f"correlation:{rows[0].correlation_id} ip:192.0.2.7"}
    assert query.page_ids(query.parse(asked_for)) == ([], False)
