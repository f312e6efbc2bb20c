"""`manage.py expectations`: rules as data, and what they would have found."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.expectations import packs
from audit.ledger import seal
from audit.models import Expectation, Unmet
from tests.audit.conftest import Sender, an_event
from tests.audit.expectations.conftest import MakeRule, rule_maker


@pytest.fixture
def rule() -> Iterator[MakeRule]:
    with rule_maker() as make:
        yield make


@pytest.fixture
def word() -> Iterator[str]:
    name = f"t{secrets.token_hex(4)}"
    yield name
    Expectation.objects.filter(name__startswith=name).update(active=False)


def a_pack(folder: Path, word: str, **changes: Any) -> Path:
    ends: dict[str, Any] = {"name": f"{word}-ends", "kind": "followed", "why": "Why.", "within_s": 60}
    ends |= {"when_types": [f"{word}.x"], "expect_types": [f"{word}.y"]}
    days = {"name": f"{word}-days", "kind": "rate", "why": "Why.", "expect_types": [f"{word}.*"], "least": 2}
    cause = {"name": f"{word}-has", "kind": "has", "why": "Why.", "when_types": [f"{word}.y"], "within_s": 9}
    rules = [ends | changes, days | {"writer": word}, cause | {"expect_types": [f"{word}.x"]}]
    file = folder / "rules.json"
    file.write_text(json.dumps({"pack": word, "expectations": rules}), encoding="utf-8")
    return file


def test_a_pack_is_loaded_changed_and_dumped(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    for changes, acts in (
        ({}, ["created", "created", "created"]),
        ({}, ["unchanged"] * 3),
        ({"within_s": 90}, ["changed", "unchanged", "unchanged"]),
    ):
        call_command("expectations", "load", a_pack(tmp_path, word, **changes))
        assert [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()] == acts
    call_command("expectations", "dump", "--pack", word)
    dumped = json.loads(capsys.readouterr().out)
    by_name = {one["name"]: one for one in dumped["expectations"]}
    assert by_name[f"{word}-ends"]["within_s"] == 90
    again = tmp_path / "again.json"
    again.write_text(json.dumps(dumped), encoding="utf-8")
    call_command("expectations", "load", again)
    assert capsys.readouterr().out.count("unchanged") == 3
    call_command("expectations", "list")
    assert f"{word}-days: at least 2 of {word}.* each day" in capsys.readouterr().out


def test_a_bad_pack_names_rule_and_field_and_nothing_is_loaded(tmp_path: Path, word: str) -> None:
    with pytest.raises(CommandError, match=rf"(?s)nothing was loaded.*expectations\[0\] {word}-ends: within_s"):
        call_command("expectations", "load", a_pack(tmp_path, word, within_s=0))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("expectations", "load", tmp_path / "none.json")
    with pytest.raises(CommandError, match="no pack"):
        call_command("expectations", "dump", "--pack", word)
    assert not Expectation.objects.filter(name__startswith=word).exists()


def test_check_says_what_rules_would_have_found_and_keeps_nothing(
    tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = Sender("write")
    sent = [(0, "x", 0), (0, "y", 9), (1, "x", 0), (1, "y", 99), (2, "x", 5), (9, "y", 5)]
    for number, letter, second in sent:
        moment = f"2026-08-18T10:{second // 60:02}:{second % 60:02}Z"
        sender.post(an_event(event_type=f"{word}.{letter}", correlation_id=f"{word}/{number}", event_timestamp=moment))
    while seal.Sealer().once().more:
        pass
    file = a_pack(tmp_path, word)
    with pytest.raises(SystemExit) as ended:
        call_command("expectations", "check", "--file", file)
    assert ended.value.code == 3
    out = capsys.readouterr().out
    assert f"{word}-ends: 1 of 3 not met, 1 late" in out
    assert f"{word}-has: 1 of 3 not met" in out
    assert f"  {word}/2: waited from 2026-08-18 10:00:05Z to 2026-08-18 10:01:05Z" in out
    assert not Expectation.objects.filter(name__startswith=word).exists()
    assert not Unmet.objects.filter(subject__startswith=word).exists()
    with pytest.raises(CommandError, match="no such rule"):
        call_command("expectations", "check", "--file", file, "--rule", "none")


def test_the_seed_leaves_what_people_changed() -> None:
    known = Expectation.objects.get(name="gateway-signals-each-day")
    Expectation.objects.filter(pk=known.pk).update(why="Ours.")
    packs.seed("owner")
    known.refresh_from_db()
    assert (known.why, known.pack, known.active) == ("Ours.", "remediation", False)


def test_metrics_count_what_is_open_of_each_rule(rule: MakeRule) -> None:
    known = rule()
    assert f'audit_unmet_expectations{{rule="{known.name}"}} 0.0' in Client().get("/metrics").content.decode()
