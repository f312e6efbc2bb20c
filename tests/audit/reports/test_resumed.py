"""A report is made section by section, by one worker after another, and ends whatever becomes of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connections

from audit import tasks
from audit.errors import Invalid
from audit.models import Report
from audit.postgres import sql
from audit.reports import build
from audit.reports.figures import Section
from audit.reports.sections import SECTIONS
from audit.reports.snapshot import Snapshot
from tests.audit.reports.conftest import ME, sealed, today


class Stops:
    """Sections that note when they are computed; while `at` names them, they are killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
        self.at, self.computed = at, list[str]()
        for name, (compute, keys) in list(SECTIONS.items()):
            monkeypatch.setitem(SECTIONS, name, (partial(self._compute, name, compute), keys))

    def _compute(self, name: str, compute: Callable[[Snapshot], Section], snapshot: Snapshot) -> Section:
        self.computed.append(name)
        if name == self.at:
            raise KeyboardInterrupt
        return compute(snapshot)

    def resume(self, report: Report) -> Report:
        """A worker finds it, some time after another was killed."""
        Report.objects.filter(pk=report.pk, state="running").update(updated_at=datetime(2026, 1, 1, tzinfo=UTC))
        return build.resume(report)


def test_a_report_goes_on_after_the_sections_that_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed()
    stops = Stops(monkeypatch, at="access")
    begun = build.request(ME, today(), today(), ["soc2"])
    with pytest.raises(KeyboardInterrupt):
        build.resume(begun)
    stops.at = ""
    report = stops.resume(begun)
    names = list(SECTIONS)
    assert (report.state, report.unfinished) == ("ready", None)
    assert stops.computed == [*names[: names.index("access") + 1], *names[names.index("access") :]]
    assert build.resume(build.repeat(report, ME)).is_same


def test_a_section_that_never_ends_is_begun_three_times_and_the_report_says_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed()
    stops = Stops(monkeypatch, at="integrity")
    begun = build.request(ME, today(), today(), ["soc2"])
    for name in ("integrity", "access"):
        stops.at = name
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                stops.resume(begun)
    with pytest.raises(KeyboardInterrupt):
        stops.resume(begun)
    failed = stops.resume(begun)
    assert (failed.state, failed.unfinished) == ("failed", None)
    assert "The section 'access' was begun 3 times and not finished" in failed.error
    assert "Ask for fewer days" in failed.error
    assert stops.computed.count("access") == 3


def test_a_worker_whose_time_is_over_leaves_the_other_sections_for_later() -> None:
    sealed()
    begun = build.request(ME, today(), today(), ["soc2"])
    for done in range(1, len(SECTIONS)):
        left = build.resume(begun, seconds=0)
        assert (left.state, left.done) == ("pending", done)
    report = build.resume(begun, seconds=0)
    assert report.state == "ready", report.error
    assert build.resume(build.repeat(report, ME)).is_same


def test_what_another_release_computed_is_computed_again() -> None:
    sealed()
    left = build.resume(build.request(ME, today(), today(), ["soc2"]), seconds=0)
    left.unfinished = {"version": 1, "sections": []}
    left.save()
    assert len((build.resume(left).content or {})["sections"]) == len(SECTIONS)


def test_the_command_says_that_postgresql_gave_up_and_that_a_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(snapshot: Snapshot) -> Section:
        sql.rows("SELECT set_config('statement_timeout', '1', false)")
        try:
            sql.rows("SELECT pg_sleep(60)")
        finally:
            connections["default"].close()
        raise AssertionError("it came to its end")

    sealed()
    with monkeypatch.context() as meanwhile:
        meanwhile.setitem(SECTIONS, "access", (too_much, SECTIONS["access"][1]))
        with pytest.raises(CommandError, match=r"PostgreSQL gave up before .* statement timeout") as refused:
            call_command("report", "--from", str(today()), "--to", str(today()), "--pack", "soc2")
    (left,) = [report for report in Report.objects.filter(state="running") if str(report.pk) in str(refused.value)]
    assert left.done == list(SECTIONS).index("access")
    Report.objects.filter(pk=left.pk).update(updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert build.resume(left).state == "ready"


def test_a_month_that_cannot_be_asked_for_keeps_no_other_report_from_being_made(settings: LazySettings) -> None:
    sealed()
    begun = build.request(ME, today(), today(), ["soc2"])
    Report.objects.filter(pk=begun.pk).update(state="running", updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    settings.REPORT_PACKS = ["none"]
    while begun.is_under_way:
        with pytest.raises(Invalid, match="there is no set of controls none"):
            tasks.go_on_with_reports()
        begun.refresh_from_db()
    assert begun.state == "ready", begun.error
