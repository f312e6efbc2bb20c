"""Timelines: in order, page by page, with the pauses between the steps."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.admin.charts import lanes
from audit.formats.event import accept
from audit.ingest.record import store
from audit.models import Record
from audit.search import timeline
from audit.search.query import read_cursor
from tests.audit.conftest import an_event

START = datetime(2026, 8, 18, 10, tzinfo=UTC)
PAGE = "/admin/audit/record/timeline/"


def steps(*seconds: float, writer: str = "tests", **changes: Any) -> list[Record]:
    accepted = [
        accept(an_event(event_timestamp=(START + timedelta(seconds=one)).isoformat(), **changes), writer=writer)
        for one in seconds
    ]
    store(accepted, timeout_s=20)
    return list(Record.objects.filter(id__in=[one.id for one in accepted]).order_by("event_timestamp", "id"))


def name() -> str:
    return f"t-{secrets.token_hex(6)}"


def linked(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/admin/audit/record/([0-9a-f-]{36})/change/', page)


def test_an_event_of_the_first_moment_of_time_is_drawn(auditor: Client) -> None:
    value = name()
    document = an_event(event_timestamp="0001-01-01T00:00:00Z", duration_ms=5, correlation_id=value)
    store([accept(document, writer="tests")], timeout_s=20)
    steps(0, correlation_id=value)
    page = auditor.get(PAGE, {"correlation": value})
    assert page.status_code == 200
    assert len(linked(page.content.decode())) == 2


@pytest.mark.parametrize("subject", ["correlation", "actor", "resource"])
def test_a_timeline_is_of_one_correlation_actor_or_resource(auditor: Client, subject: str) -> None:
    value = name()
    records = steps(0, 5, 65, **{timeline.SUBJECTS[subject]: value})
    steps(1)
    page = auditor.get(PAGE, {subject: value}).content.decode()
    assert linked(page) == [str(record.id) for record in records]
    for text in ("3 events within 1 min 5 s", "+5.0 s", "+1 min"):
        assert text in page


def test_every_event_is_on_one_page_older_or_newer_also_with_equal_times() -> None:
    value = name()
    records = [record.id for record in steps(*([0] * 7), *([1] * 4), correlation_id=value)]
    found = timeline.page("correlation", value, limit=3)
    backwards = [one.id for one in found.records]
    while found.older:
        found = timeline.page("correlation", value, before=read_cursor(found.older), limit=3)
        backwards = [one.id for one in found.records] + backwards
    assert backwards == records
    forwards = [one.id for one in found.records]
    while found.newer:
        found = timeline.page("correlation", value, after=read_cursor(found.newer), limit=3)
        forwards += [one.id for one in found.records]
    assert forwards == records


def test_older_and_newer_are_linked(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    value = name()
    records = [str(record.id) for record in steps(0, 1, 2, 3, 4, correlation_id=value)]
    monkeypatch.setattr(timeline.page, "__kwdefaults__", timeline.page.__kwdefaults__ | {"limit": 2})
    page = auditor.get(PAGE, {"correlation": value}).content.decode()
    assert linked(page) == records[3:]
    older = re.search(r'href="(\?[^"]*)" rel="prev"', page)
    assert older
    page = auditor.get(PAGE + older[1].replace("&amp;", "&")).content.decode()
    assert linked(page) == records[1:3]
    newer = re.search(r'href="(\?[^"]*)" rel="next"', page)
    assert newer
    assert linked(auditor.get(PAGE + newer[1].replace("&amp;", "&")).content.decode()) == records[3:]


def test_since_leaves_out_what_was_before(auditor: Client) -> None:
    value = name()
    records = steps(0, 100, actor_id=value)
    page = auditor.get(PAGE, {"actor": value, "since": (START + timedelta(seconds=50)).isoformat()}).content.decode()
    assert linked(page) == [str(records[1].id)]


def test_writers_have_lanes_and_failures_a_sign_and_words(auditor: Client) -> None:
    value, writers = name(), ["w-one", "w-two"]
    steps(0, correlation_id=value, writer=writers[0], duration_ms=2500)
    steps(9, correlation_id=value, writer=writers[1], event_outcome="failure")
    page = auditor.get(PAGE, {"correlation": value}).content.decode()
    for writer in writers:
        assert f'text-anchor="end">{writer}</text>' in page
    assert 'class="failed"' in page and "1 failed" in page
    assert "took 2.5 s" in page and 'class="number">2.5 s' in page


def test_a_failure_lies_on_top_of_what_went_well_and_is_counted(auditor: Client) -> None:
    value = name()
    steps(0, correlation_id=value, event_outcome="failure")
    steps(0, 0, 500, correlation_id=value)
    page = auditor.get(PAGE, {"correlation": value}).content.decode()
    assert page.rindex('class="failed"') > page.rindex('class="dot dot-success"')
    assert "\N{MULTIPLICATION SIGN}3 1✗</text>" in page


def test_labels_of_pauses_do_not_lie_on_each_other() -> None:
    value = name()
    # Pauses that are cut out, one right after the other: each is narrower than its label.
    seconds = [*map(float, range(20)), *(20 + turn * 28_620.0 for turn in range(1, lanes.BREAKS + 1))]
    picture = lanes.draw(steps(*seconds, correlation_id=value))
    labels = [
        (float(x), text) for x, text in re.findall(r'x="([0-9.]+)" y="13" text-anchor="middle">([^<]+)<', picture)
    ]
    assert 2 <= len(labels) < lanes.BREAKS
    for (left, before), (right, after) in pairwise(sorted(labels)):
        assert right - left >= lanes.CHARACTER * (len(before) + len(after)) / 2


def test_what_is_not_there_is_said_with_a_way_on(auditor: Client) -> None:
    page = auditor.get(PAGE, {"correlation": "<nothing>", "since": "1h"}).content.decode()
    assert "No record of correlation &lt;nothing&gt;" in page
    assert "Look at all of time" in page


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"correlation": ""},
        {"correlation": "a", "actor": "b"},
        {"correlation": "a", "since": "never"},
        {"correlation": "a", "before": "nonsense"},
        {"correlation": "a", "after": "Zm9v"},
        {"correlation": "\x00"},
        {"writer": "x"},
    ],
    ids=str,
)
def test_an_odd_address_leads_to_the_list_with_a_reason(auditor: Client, parameters: dict[str, str]) -> None:
    response = auditor.get(PAGE, parameters, follow=True)
    assert response.redirect_chain == [(reverse("admin:audit_record_changelist"), 302)]
    assert 'class="warning"' in response.content.decode()


def test_who_may_not_see_records_sees_no_timeline(operator: Client) -> None:
    assert operator.get(PAGE, {"correlation": "x"}).status_code == 403


def moments(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=one) for one in seconds]


def test_a_long_pause_is_cut_out_and_labelled() -> None:
    times = moments(0, 1, 2, 3, 86_400, 86_401, 86_402)
    scale = lanes.Scale(times, 600)
    assert [pause.text for pause in scale.pauses] == ["23 h 59 min"]
    width = scale.at(times[1]) - scale.at(times[0])
    assert width == pytest.approx((600 - lanes.BREAK) / 5)
    assert scale.at(times[-1]) == pytest.approx(600)


def test_even_steps_are_to_scale() -> None:
    times = moments(*range(0, 100, 10))
    scale = lanes.Scale(times, 900)
    assert scale.pauses == []
    assert [scale.at(time) for time in times] == pytest.approx([100.0 * n for n in range(10)])


def test_what_began_before_the_first_event_begins_at_the_edge() -> None:
    scale = lanes.Scale(moments(0, 10, 20), 100)
    assert scale.at(START - timedelta(hours=1)) == 0.0
    assert scale.at(START + timedelta(seconds=5)) == pytest.approx(25)
    assert lanes.Scale(moments(0), 100).at(START) == 0.0


def test_events_at_one_moment_are_drawn_at_one_place() -> None:
    scale = lanes.Scale(moments(0, 0, 0), 100)
    assert (scale.pauses, scale.at(START)) == ([], 0.0)
