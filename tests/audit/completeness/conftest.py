"""Scenes of what never came: numbered events, and a log that is followed to its end."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uuid_utils.compat
from django.db import connections
from django.test import override_settings

from audit.completeness import reconcile
from audit.completeness.summary import WriterSummary
from audit.formats.event import SealedEvent
from audit.ledger import seal
from audit.models import Discrepancy, Episode
from auditsite.roles import ROLES
from tests.audit.conftest import an_event, sealed_event

BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The alarms of a test, after what other tests left was told; nothing waits to be told."""
    texts: list[str] = []
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    with override_settings(GAP_GRACE_S=0):
        follow()
        for kind in Discrepancy.__subclasses__():
            kind._default_manager.filter(told_at=None).update(told_at=datetime.now(UTC))
        texts.clear()
        yield texts


@pytest.fixture
def empty_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others' messages are no reason to wait."""
    monkeypatch.setattr(reconcile, "LONGEST_WAIT", timedelta(0))


def numbered(*seqs: int, **changes: Any) -> list[dict[str, Any]]:
    return [an_event(event_id=str(uuid_utils.compat.uuid7()), source_seq=seq, **changes) for seq in seqs]


def waits(seq: int, moment: datetime) -> dict[str, Any]:
    """The columns of a heartbeat that named a number and is not judged yet."""
    return {"seq": seq, "at": moment, "waiting_seq": seq, "waiting_at": moment}


def ids_digest(events: list[dict[str, Any]]) -> str:
    return hashlib.sha256(
        "".join(f"{event_id}\n" for event_id in sorted(e["event_id"] for e in events)).encode()
    ).hexdigest()


def follow() -> reconcile.Reconciled:
    while seal.Sealer().once().more:
        pass
    return reconcile.reconcile()


def follow_all() -> None:
    """Follow until nothing is left: what a run tells of what other tests have left is recorded, and is read, too."""
    while follow().read:
        pass


def a_standing(**changes: Any) -> WriterSummary:
    usual: dict[str, Any] = {"writer": "w", "events": 9, "numbered": 9, "first_at": BEGAN, "last_at": BEGAN}
    return WriterSummary(**usual | changes)


def at(seq: int) -> datetime:
    return BEGAN + timedelta(seconds=seq)


def numbers_of(writer: str, *seqs: int, epoch: str = "") -> list[SealedEvent]:
    return [sealed_event(writer, at(seq), seq=seq, epoch=epoch) for seq in seqs]


def outage(began: datetime, **changes: Any) -> Episode:
    facts: dict[str, Any] = {
        "began_at": began,
        "up_at": began + timedelta(hours=3, minutes=40),
        "emptied_at": began + timedelta(hours=3, minutes=44),
        "reasons": {"database-down": 312},
        **dict.fromkeys(("quarantined", "discarded", "left", "dead", "lost"), 0),
        **{"parked": 312, "stored": 312, "deepest": 300},
    }
    return Episode.objects.create(**facts | changes)


def manage_skewed(skew_s: float, *arguments: str) -> str:
    """What a management command prints in a process whose own clock is wrong by so much."""
    command = [sys.executable, "-m", "bench.skewed", str(skew_s), *arguments]
    database = connections["default"].settings_dict["NAME"]
    addresses = {name: urlsplit(os.environ[name])._replace(path=f"/{database}").geturl() for name in ROLES}
    done = subprocess.run(command, env=os.environ | addresses, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr  # 3: something is missing
    return done.stdout
