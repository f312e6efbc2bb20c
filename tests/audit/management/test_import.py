"""`manage.py import`: what it prints, what it records, and how it ends."""

import json
import secrets
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import Record, Writer
from tests.attacks.scene import Scene
from tests.audit.imports.conftest import FIELD, a_trail_event, purged_event


@pytest.fixture
def writer() -> str:
    name = f"import-{secrets.token_hex(4)}"
    Writer.objects.create(name=name)
    return name


def imported(*arguments: Any) -> tuple[int, str]:
    """The exit status and what is printed."""
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("import", *map(str, arguments), stdout=out)
    return int(str(end.value.code)), out.getvalue()


def test_the_samples_of_a_trail_are_imported_once_and_who_did_it_is_recorded(writer: str) -> None:
    file = FIELD / "aws-cloudtrail.jsonl"
    status, printed = imported("cloudtrail", file, "--writer", writer)
    # One of them stands twice; another has the id of a third, and is kept beside it.
    assert (status, "7 events: 6 stored, 1 there already" in printed) == (0, True)
    assert "in event_data alone, for no field is filled by them: " in printed
    assert "eventType (7)" in printed
    assert "7 events: 7 there already" in imported("cloudtrail", file, "--writer", writer)[1]
    assert Record.objects.filter(writer=writer).count() == 6
    runs = Record.objects.filter(event_type="audit.import.run", event_data__writer=writer).order_by("id")
    assert [row.event_data["counts"] for row in runs] == [{"stored": 6, "duplicate": 1}, {"duplicate": 7}]
    assert {row.event_data["mapping"] for row in runs} == {"cloudtrail/1"}


def test_what_is_not_mapped_is_named_and_is_no_success(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text('{"eventID": "1"}\n{\n', encoding="utf-8")
    status, printed = imported("cloudtrail", path, "--writer", writer, "--dry-run")
    assert (status, "2 events: 2 not mapped" in printed) == (3, True)
    assert "line 1: not mapped: eventTime: is missing" in printed
    assert not Record.objects.filter(writer=writer).exists()


@pytest.mark.slow
def test_a_file_with_a_purged_event_is_imported_to_its_end(elsewhere: Scene, writer: str, tmp_path: Path) -> None:
    path = tmp_path / "trail.json"
    path.write_text(json.dumps([a_trail_event(), purged_event(writer), a_trail_event()]), encoding="utf-8")
    for counts in ("2 stored, 1 there already", "3 there already"):
        status, printed = imported("cloudtrail", path, "--writer", writer)
        assert (status, f"3 events: {counts}" in printed) == (0, True), printed
        assert "of those that were there 1 was purged since: it is not stored again" in printed
    runs = Record.objects.filter(event_type="audit.import.run", event_data__writer=writer)
    assert [row.event_data["purged"] for row in runs] == [1, 1]


def test_a_mapping_of_ones_own_makes_events_of_a_csv(writer: str, tmp_path: Path) -> None:
    mapping, rows = tmp_path / "door.toml", tmp_path / "rows.csv"
    mapping.write_text(
        """
        name = "door"
        version = "2.1"
        id = "n"
        [source]
        format = "csv"
        delimiter = ";"
        [event]
        event_timestamp = { from = "when", form = "%d.%m.%Y %H:%M" }
        event_type = { text = "door.{what}" }
        event_category = { value = "access" }
        event_action = "what"
        event_outcome = { from = "ok", table = { yes = "success", "*" = "failure" } }
        actor_id = "badge"
        resource_id = "door"
        """,
        encoding="utf-8",
    )
    rows.write_text("n;when;what;ok;badge;door;colour\n1;02.03.2026 07:05;Opened;yes;b-7;north;red\n", encoding="utf-8")
    status, printed = imported("door", rows, "--writer", writer, "--mapping", mapping)
    assert (status, "1 events: 1 stored" in printed, "colour (1)" in printed) == (0, True, True)
    (row,) = Record.objects.filter(writer=writer)
    assert (row.version, row.event_type, row.actor_id, row.resource_id) == ("door/2.1", "door.opened", "b-7", "north")
    assert row.event_timestamp.isoformat() == "2026-03-02T07:05:00+00:00"


def test_a_writer_or_a_mapping_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(CommandError, match=r"manage\.py writer create cloudtrail"):
        call_command("import", "cloudtrail", str(path))
    with pytest.raises(CommandError, match="There is no mapping 'nothing'"):
        call_command("import", "nothing", str(path))
    with pytest.raises(CommandError, match="cannot be opened"):
        call_command("import", "cloudtrail", str(tmp_path / "none"), "--writer", _a_writer())


def _a_writer() -> str:
    return str(Writer.objects.create(name=f"import-{secrets.token_hex(4)}").name)
