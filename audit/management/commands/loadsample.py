"""`manage.py loadsample`: sample data and logins for an empty store."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, repeat
from pathlib import Path
from typing import Any

import uuid_utils.compat
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandParser
from rich.progress import track

import audit
from audit.access import api_keys, roles
from audit.evidence import redaction
from audit.evidence.request import Requester
from audit.formats import event
from audit.formats import times as formats_times
from audit.ingest.record import record
from audit.ledger.seal import Sealer
from audit.models import OWN_WRITER, Record, RedactionRule, Writer
from audit.reports import build
from audit.retention import legal_holds
from audit.review import signoff

# Numbers that the sample leaves out, so that it shows what missing looks like.
LEFT_OUT = {("gateway", 17), ("gateway", 18)}
# A writer that sends no numbers, so that the sample shows what cannot be seen.
UNNUMBERED = "effectiveness"
SAMPLE = Path(audit.__file__).parent / "management" / "sample" / "kubernaut.jsonl"
RUNS = 21
EVERY = timedelta(hours=8)
OFFICER = "compliance officer"


class Command(BaseCommand):
    help = "Load the sample events of a week, and a person of each group, into an empty store."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--logins", type=Path, help="also write names, passwords and the key to this file")

    def handle(self, *args: Any, logins: Path | None, **options: Any) -> None:
        # The store's own records, such as the making of its key, are no reason to leave it without a sample.
        if Record.objects.exclude(writer=OWN_WRITER).exists() or User.objects.exists():
            self.stdout.write("The store is not empty: nothing was loaded.")
            return
        lines = [*_people(), *_writers()]
        _events()
        _acts()
        text = "\n".join(lines) + "\n"
        if logins is not None:
            logins.touch(mode=0o600)
            logins.write_text(text, encoding="utf-8")
        self.stdout.write(text)


def writers() -> list[str]:
    return sorted({_writer(line) for line in _lines()})


def _people() -> list[str]:
    """Create a user in each group; the passwords are new and shown only here."""
    lines = []
    for name in roles.GROUPS:
        password = secrets.token_urlsafe(9)
        user = User.objects.create_user(name, password=password, is_staff=True)
        user.groups.set([Group.objects.get(name=name)])
        lines.append(f"login {name} / {password}")
    return lines


def _writers() -> list[str]:
    for name in writers():
        Writer.objects.create(name=name)
    demo = Writer.objects.create(name="demo", scopes=["write", "read"])
    return [f"key of the writer demo: {api_keys.issue(demo)}"]


def _events() -> None:
    """Replay the sample every eight hours of the past week, the last run ending now, numbered by its writers."""
    lines = _lines()
    times = [datetime.fromisoformat(line["event_timestamp"]) for line in lines]
    now, numbers = datetime.now(UTC), {writer: _numbers(writer) for writer in writers()}
    for run in track(range(RUNS), description="sample events", transient=True):
        shift = now - EVERY * (RUNS - 1 - run) - max(times)
        record(
            [
                event.accept(_replayed(line, moment + shift, run, next(numbers[_writer(line)])), writer=_writer(line))
                for line, moment in sorted(zip(lines, times, strict=True), key=lambda pair: pair[1])
            ]
        )


def _acts() -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    note, shown = "Sample: the failures were looked through, and each has a ticket.", signoff.report_to_sign(yesterday)
    lines = {
        group.name: {row.label: {"is": "ticket", "why": "SAMPLE-1"} for row in group.rows}
        for group in shown.groups
        if group.counts and group.rows
    }
    signoff.sign(yesterday, note, by=OFFICER, seen=(shown.digest, 0), lines=lines)
    newest = Record.objects.exclude(writer=OWN_WRITER).latest("event_timestamp")
    reason = "Sample: the insurer asks what was done to the cluster."
    legal_holds.place(newest.correlation_id, matter="SAMPLE-2", reason=reason, by=OFFICER)
    reason = "Sample: GDPR Art. 5(1)(c), an address is not needed to see who did what."
    redaction.save_rule(RedactionRule(name="addresses", path="actor_ip", method="mask", reason=reason), by=OFFICER)
    Sealer().once()
    last = datetime.now(UTC).date()
    # A worker makes the report.
    build.request(Requester("auditor"), last - timedelta(days=6), last, ["soc2", "pci-dss", "gdpr"])


def _numbers(writer: str) -> Iterator[int | None]:
    if writer == UNNUMBERED:
        return repeat(None)
    return (seq for seq in count(1) if (writer, seq) not in LEFT_OUT)


def _replayed(line: dict[str, Any], moment: datetime, run: int, seq: int | None) -> dict[str, Any]:
    return line | {
        "event_id": str(uuid_utils.compat.uuid7()),
        "event_timestamp": formats_times.timestamp_text(moment),
        "correlation_id": f"{line['correlation_id']}-{run + 1}",
        "source_seq": seq,
    }


def _writer(line: dict[str, Any]) -> str:
    return str(line["event_type"].partition(".")[0])


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line)["event"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
