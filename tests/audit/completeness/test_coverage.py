"""Coverage: each event counts once in its hour, and counting anew finds the same."""

import secrets
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from audit.completeness import causes, coverage, reconcile, sequences
from audit.completeness.coverage import Count
from audit.models import Followed, Hole, HourCount
from audit.retention import purge
from tests.attacks.scene import Scene
from tests.audit.completeness.conftest import follow, numbers_of, outage
from tests.audit.conftest import BATCH, Sender, an_event, sealed_event
from tests.audit.retention.conftest import BEN, aged, ago, approved, seal, short

DAY = timedelta(days=1)


def counts(writer: str) -> dict[datetime, Count]:
    found = HourCount.objects.filter(writer=writer)
    return {one.hour: Count(one.events, one.failures, one.parked) for one in found}


def hour(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_day(year: int) -> datetime:
    """A day that no other test has: rebuilding it concerns nobody."""
    return datetime(year, 1, 1, tzinfo=UTC) + DAY * secrets.randbelow(300)


def rebuilt(day: datetime, writer: str) -> list[coverage.HourDifference]:
    return [one for one in coverage.rebuild(since=day) if one.writer == writer]


def test_events_count_in_the_hour_in_which_they_happened_by_utc() -> None:
    sender = Sender("write")
    times = ("2026-08-18T10:00:00Z", "2026-08-18T12:59:59.999999+02:00", "2026-08-18T11:00:00Z")
    outcomes = ("success", "failure", "pending")
    events = [an_event(event_timestamp=times[n], event_outcome=outcomes[n]) for n in range(3)]
    assert sender.post(events, BATCH).status_code == 201
    follow()
    expected = {hour("2026-08-18T10:00"): Count(2, 1, 0), hour("2026-08-18T11:00"): Count(1, 0, 0)}
    assert counts(sender.name) == expected


def test_what_came_through_the_queue_is_counted_beside_it() -> None:
    writer, day = f"writer-{secrets.token_hex(4)}", a_day(2019)
    parked, failed = {"parked_at": day}, {"outcome": "failure"}
    coverage.apply([sealed_event(writer, day, **parked), sealed_event(writer, day, **failed)])
    coverage.apply([sealed_event(writer, day + timedelta(minutes=59), **parked, **failed)])
    assert counts(writer) == {day: Count(3, 2, 2)}


def test_a_run_that_fails_half_way_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender("write")
    follow()
    sender.post([an_event(), an_event()], BATCH)
    with monkeypatch.context() as broken:
        broken.setattr(Followed, "save", lambda self, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            follow()
    follow()
    assert sum(count.events for count in counts(sender.name).values()) == 2


def test_counting_anew_finds_what_was_counted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    follow()  # what the tests before it left, which would be followed three at a time
    monkeypatch.setattr(reconcile, "MAX_FOLLOWED", 3)
    sender, day = Sender("write"), a_day(2020)
    for n in range(20):
        at = (day + timedelta(minutes=7 * n)).isoformat()
        sender.post(an_event(event_timestamp=at, event_outcome="failure" if n % 3 else "success"))
    follow()
    before = counts(sender.name)
    assert sum(count.events for count in before.values()) == 20
    assert rebuilt(day, sender.name) == []
    assert counts(sender.name) == before


def test_what_somebody_changed_is_named_and_mended() -> None:
    sender, day = Sender("write"), a_day(2021)
    sender.post([an_event(event_timestamp=(day + timedelta(hours=n)).isoformat()) for n in range(3)], BATCH)
    follow()
    right = counts(sender.name)
    HourCount.objects.filter(writer=sender.name, hour=day).update(events=7)
    HourCount.objects.filter(writer=sender.name, hour=day + timedelta(hours=1)).delete()
    HourCount.objects.create(writer=sender.name, hour=day + timedelta(hours=9), events=5)
    found = {one.hour - day: (one.was.events, one.is_now.events) for one in rebuilt(day, sender.name)}
    assert found == {timedelta(0): (7, 1), timedelta(hours=1): (0, 1), timedelta(hours=9): (5, 0)}
    assert counts(sender.name) == right
    assert rebuilt(day, sender.name) == []


@pytest.mark.slow
def test_what_was_purged_counts_on_when_hours_are_counted_anew(elsewhere: Scene) -> None:
    category, at = short(), ago(40).replace(minute=0, second=0, microsecond=0)
    for n in range(3):
        aged(ago(40), event_category=category, event_timestamp=(at + timedelta(minutes=n)).isoformat())
    seal()
    reconcile.reconcile()
    hours = HourCount.objects.filter(hour=at)
    before = [*hours.values_list("writer", "events")]
    assert sum(events for _, events in before) == 3
    purge.run(approved(), by=BEN)
    later = HourCount.objects.create(writer="tests", hour=at + timedelta(days=90), events=5)
    assert [row.hour for row in coverage.rebuild()] == [later.hour]
    assert [*hours.values_list("writer", "events")] == before


def test_what_is_not_followed_yet_is_left_to_the_run_that_follows_it() -> None:
    follow()
    sender, day = Sender("write"), a_day(2022)
    sender.post(an_event(event_timestamp=day.isoformat()))
    assert rebuilt(day, sender.name) == []
    follow()
    assert counts(sender.name) == {day: Count(1, 0, 0)}


def test_the_command_says_what_differed_and_ends_with_3() -> None:
    sender, day = Sender("write"), a_day(2023)
    sender.post(an_event(event_timestamp=day.isoformat()))
    follow()
    HourCount.objects.filter(writer=sender.name).update(events=2, failures=1)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("coverage", "rebuild", "--since", day.isoformat(), stdout=out, stderr=StringIO())
    assert ended.value.code == 3
    assert f"{sender.name} {day:%Y-%m-%d %H}h: 2 events were counted, 1 there are" in out.getvalue()


def test_sums_are_of_whole_steps_from_their_beginning() -> None:
    writer, day = f"writer-{secrets.token_hex(4)}", a_day(2018)
    coverage.apply([sealed_event(writer, day + timedelta(hours=n)) for n in (0, 23, 24)])
    found = coverage.sums([writer], day, day + 2 * DAY, DAY)
    assert found == {(writer, day): Count(2, 0, 0), (writer, day + DAY): Count(1, 0, 0)}


def texts(writer: str, since: datetime, until: datetime) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in causes.find([writer], since, until).why(writer, since, until)]


def test_numbers_that_never_came_explain_what_is_empty() -> None:
    writer = f"writer-{secrets.token_hex(4)}"
    sequences.apply(numbers_of(writer, 1, 5))
    hole = Hole.objects.get(numbering__writer=writer)
    assert hole.after_at is not None
    ((kind, text),) = texts(writer, hole.after_at, hole.before_at + timedelta(seconds=1))
    assert kind == "gap"
    assert "numbers 2 to 4 never came" in text
    assert texts(writer, hole.before_at + timedelta(seconds=1), hole.before_at + DAY) == []


def test_an_outage_explains_what_is_empty_with_its_figures() -> None:
    began = a_day(1990).replace(hour=2, microsecond=secrets.randbelow(10**6))
    outage(began)
    ((kind, text),) = texts("anybody", began, began + timedelta(hours=1))
    assert kind == "outage"
    assert text == f"PostgreSQL away {began:%Y-%m-%d} 02:00 to 05:40: 312 parked, all stored by 05:44"


def test_an_outage_that_lost_something_says_so() -> None:
    began = a_day(1991).replace(microsecond=secrets.randbelow(10**6))
    outage(began, stored=300, lost=12, reasons={"database-refused": 312})
    ((_, text),) = texts("anybody", began, began + timedelta(hours=1))
    assert text.startswith("PostgreSQL refused") and text.endswith("312 parked, 300 stored, 12 lost")


def test_many_events_of_many_writers_count_at_once() -> None:
    names, day = [f"w-{secrets.token_hex(4)}" for _ in range(30)], a_day(2017)
    coverage.apply(sealed_event(name, day + timedelta(minutes=n)) for n in range(90) for name in names)
    assert {name: sum(c.events for c in counts(name).values()) for name in names} == dict.fromkeys(names, 90)
