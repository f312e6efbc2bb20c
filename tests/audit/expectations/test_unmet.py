"""What did not come is told once, explained by waivers, and named by hand and in the sample."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from audit.completeness import summary
from audit.expectations import rules
from audit.formats import event
from audit.ingest import trail
from audit.management.commands.loadsample import SAMPLE
from audit.models import Expectation, Record, Unmet, Waiver
from tests.audit.conftest import BATCH, Sender
from tests.audit.expectations.conftest import (
    BEGAN,
    MakeRule,
    an,
    correlation,
    follow,
    found,
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The alarms of a test, after what other tests left was told."""
    texts: list[str] = []
    follow()
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    return texts


def test_it_is_told_once_and_recorded(sender: Sender, rule: MakeRule, told: list[str]) -> None:
    ends, of = rule(), correlation()
    sender.post(an(ends, "x", of=of))
    follow()
    follow()
    (text,) = [one for one in told if ends.name in one]
    assert of in text
    assert "is followed by" in text
    noted = Record.objects.filter(event_type="audit.expectation.unmet").order_by("-stored_at")[:5]
    (facts,) = [unmet for record in noted for unmet in record.event_data.get("unmet", ()) if unmet["subject"] == of]
    assert (facts["expectation"], facts["writer"]) == (ends.name, sender.name)


def test_reconciling_by_hand_names_it_and_its_exit_status_says_so(
    sender: Sender, rule: MakeRule, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = rule()
    sender.post(an(ends, "x", of=correlation()))
    follow()
    before = summary.summarize().expected
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile")
    assert ended.value.code == 3
    assert "not met: " in capsys.readouterr().out
    assert before.unmet >= 1
    assert before.in_force >= 9
    rules.waive(waiver_of(ends), by="ann")
    after = summary.summarize().expected
    assert (after.unmet, after.explained) == (before.unmet - 1, before.explained + 1)


def waiver_of(rule: Expectation, **changes: Any) -> Waiver:
    times = {"begins_at": BEGAN - timedelta(hours=1), "ends_at": BEGAN + timedelta(hours=1)}
    return Waiver(**{"expectation": rule, "reason": "A drill: nothing was executed.", **times, **changes})


@pytest.mark.parametrize("beforehand", [True, False])
@pytest.mark.parametrize("scope", ["exact", "beginning", "writer", "all"])
def test_a_waiver_explains_what_it_covers_and_nothing_else(
    sender: Sender, rule: MakeRule, told: list[str], beforehand: bool, scope: str
) -> None:
    ends, of, other = rule(), correlation(), Sender("write")
    covers = {
        "exact": {"correlation": of},
        "beginning": {"correlation": f"{of[:9]}*"},
        "writer": {"writer": sender.name},
    }
    waiver = waiver_of(ends, **covers.get(scope, {}))
    if beforehand:
        assert rules.waive(waiver, by="ann") == 0
    sender.post(an(ends, "x", of=of))
    other.post([an(ends, "x", of=correlation()), an(ends, "x", 7_200, of=of)], BATCH)
    follow()
    if not beforehand:
        assert rules.waive(waiver, by="ann") == (2 if scope == "all" else 1)
    excused = 2 if scope == "all" else 1
    assert sorted(one.state for one in found(ends)) == ["explained"] * excused + ["open"] * (3 - excused)
    (first,) = [one for one in found(ends) if one.subject == of and one.since == BEGAN]
    assert (first.state, first.explanation, first.owner) == ("explained", waiver.reason, "ann")
    noted = Record.objects.get(event_type="audit.expectation.waived", correlation_id=f"expectation-{ends.name}")
    assert noted.event_data["reason"] == waiver.reason


def test_what_is_waived_still_closes_when_it_comes(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    rules.waive(waiver_of(ends), by="ann")
    sender.post(an(ends, "x", of=of))
    follow()
    sender.post(an(ends, "y", 5, of=of))
    follow()
    assert [one.state for one in found(ends)] == ["closed"]


def test_the_pack_finds_in_the_sample_what_did_not_come(sender: Sender) -> None:
    run = secrets.token_hex(4)
    sample = [json.loads(line)["event"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    sender.post([one | {"correlation_id": f"{one['correlation_id']}/{run}"} for one in sample], BATCH)
    follow()
    unmet = Unmet.objects.filter(expectation__pack="remediation", subject__endswith=f"/{run}")
    assert {(one.expectation.name, one.subject.removesuffix(f"/{run}"), one.state) for one in unmet} == {
        ("signal-begins-a-remediation", "rr-write-api-001", "open"),
        ("remediation-ends", "rr-full-001", "open"),
        ("execution-ends", "rr-full-001", "open"),
        ("model-answers", "corr-llm-req", "open"),
    }


def test_a_record_has_room_for_a_hundred_findings_of_the_longest_rule(rule: MakeRule) -> None:
    many = [f"t{'x' * 80}{n}.{secrets.token_hex(4)}" for n in range(50)]
    known, now = rule(when_types=many, expect_types=many), datetime.now(UTC)
    unmet = Unmet(expectation=known, subject="ä" * 255, writer="w" * 100, since=now, due_at=now, wanted=known.words)
    facts = unmet.facts()
    assert facts["wanted"].endswith("…")
    said = trail.document("audit.expectation.unmet", actor="a", outcome="failure", correlation="c", unmet=[facts] * 100)
    event.accept(said, writer="auditsite")
