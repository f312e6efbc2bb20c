"""`manage.py expectations`: rules as data."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.expectations import packs
from audit.models import Expectation
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


def test_the_seed_leaves_what_people_changed() -> None:
    known = Expectation.objects.get(name="gateway-signals-each-day")
    Expectation.objects.filter(pk=known.pk).update(why="Ours.")
    packs.seed("owner")
    known.refresh_from_db()
    assert (known.why, known.pack, known.active) == ("Ours.", "remediation", False)


def test_metrics_count_what_is_open_of_each_rule(rule: MakeRule) -> None:
    known = rule()
    assert f'audit_unmet_expectations{{rule="{known.name}"}} 0.0' in Client().get("/metrics").content.decode()
