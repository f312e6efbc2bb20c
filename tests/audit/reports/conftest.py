"""Scenes of reports: sealed records of a day, and reports about them."""

import secrets
from datetime import UTC, date, datetime
from typing import Any

from audit.evidence.request import Requester
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Report
from audit.reports import build
from tests.audit.conftest import an_event

ME = Requester("tests")


def today() -> date:
    return datetime.now(UTC).date()


def sealed(count: int = 3, *, writer: str = "tests", **changes: Any) -> str:
    """So many events of now, in the log and counted."""
    word = f"rr-{secrets.token_hex(6)}"
    now = datetime.now(UTC).isoformat()
    events = [an_event(correlation_id=word, event_timestamp=now, **changes) for _ in range(count)]
    store([accept(event, writer=writer) for event in events], timeout_s=20)
    seal.Sealer().once()
    return word


def made(requester: Requester = ME, *, first: date | None = None, names: tuple[str, ...] = ("soc2",)) -> Report:
    report = build.resume(build.request(requester, first or today(), today(), list(names)))
    assert report.state == "ready", report.error
    return report


def figures(report: Report) -> dict[str, Any]:
    return {
        f"{section['key']}.{figure['key']}": figure["value"]
        for section in report.content["sections"]  # type: ignore[index]
        for figure in section["figures"]
    }
