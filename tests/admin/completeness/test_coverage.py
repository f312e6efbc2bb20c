"""The picture of what each writer sent: days, hours and weeks, and why something is empty."""

import html
import re
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from audit.admin.completeness.coverage import WRITERS_SHOWN
from audit.completeness import coverage, sequences, silence
from audit.models import Rhythm
from tests.audit.completeness.conftest import follow, outage
from tests.audit.conftest import BATCH, Sender, an_event, sealed_event

PAGE = "/admin/audit/hourcount/"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def a_writer(*heard: datetime) -> str:
    """One that was heard at these times, first of all writers in every list."""
    name = f"!{secrets.token_hex(4)}"
    silence.apply(sealed_event(name, at) for at in heard)
    coverage.apply(sealed_event(name, at) for at in heard)
    return name


def before(writer: str) -> str:
    """Where a page begins whose first writer is this one."""
    return writer[:-1] + chr(ord(writer[-1]) - 1)


def look(client: Client, **parameters: object) -> str:
    response = client.get(PAGE, parameters)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def texts(page: str, writer: str) -> list[str]:
    return re.findall(rf"<span>{re.escape(writer)} (.*?)</span></a></td>", page)


def midnight(days_ago: int = 0) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - DAY * days_ago


def test_a_writer_has_a_cell_a_day_that_leads_to_its_records(auditor: Client) -> None:
    sender = Sender("write")
    days_ago = midnight(3)
    sender.post([an_event(event_timestamp=(days_ago + HOUR * n).isoformat()) for n in range(4)], BATCH)
    follow()
    page = look(auditor, after=before(sender.name))
    assert f"{days_ago:%Y-%m-%d}: 4 events" in texts(page, sender.name)
    address = re.search(rf'href="([^"]*)">[^<]*<span>{sender.name} {days_ago:%Y-%m-%d}: 4 events', page)
    assert address
    assert "4 records" in auditor.get(address[1]).content.decode()


def test_a_day_leads_to_its_hours_and_a_writer_to_its_week(auditor: Client) -> None:
    noon = midnight(1) + 12 * HOUR
    writer = a_writer(noon, noon + timedelta(minutes=1), noon + 2 * HOUR)
    page = look(auditor, after=before(writer))
    assert f'href="?day={noon:%Y-%m-%d}"' in page
    assert f"?writer=%21{writer[1:]}&day={datetime.now(UTC):%Y-%m-%d}" in page
    for parameters in ({"day": f"{noon:%Y-%m-%d}", "after": before(writer)}, {"writer": writer}):
        found = texts(look(auditor, **parameters), writer)
        assert f"{noon:%Y-%m-%d} 12:00: 2 events" in found
        assert f"{noon:%Y-%m-%d} 13:00: 0 events; no outage, gap or silence is known of" in found


def test_before_a_writer_was_heard_and_after_now_nothing_is_said(auditor: Client) -> None:
    first = midnight(2)
    writer = a_writer(first)
    found = texts(look(auditor, after=before(writer)), writer)
    assert [text[:10] for text in found] == [f"{first + DAY * n:%Y-%m-%d}" for n in range(3)]


def test_an_empty_hour_says_which_outage_there_was(auditor: Client) -> None:
    began = midnight(200) + 2 * HOUR + timedelta(microseconds=secrets.randbelow(10**6))
    outage(began)
    writer = a_writer(began - HOUR, began + 9 * HOUR)
    found = texts(look(auditor, writer=writer, day=f"{began:%Y-%m-%d}"), writer)
    why = f"PostgreSQL away {began:%Y-%m-%d} 02:00 to 05:40: 312 parked, all stored by 05:44"
    assert any(text.startswith(f"{began:%Y-%m-%d} 03:00: 0 events; ") and why in text for text in found)


def test_numbers_that_never_came_mark_their_hours_also_beside_others(auditor: Client) -> None:
    start = midnight(1)
    writer = a_writer(start, start + 3 * HOUR)
    sequences.apply([sealed_event(writer, start, seq=1), sealed_event(writer, start + 3 * HOUR, seq=9)])
    page = look(auditor, writer=writer)
    empty = [text for text in texts(page, writer) if "0 events" in text and "numbers 2 to 8 never came" in text]
    full = [text for text in texts(page, writer) if "1 event;" in text and "numbers 2 to 8 never came" in text]
    assert (len(empty), len(full)) == (2, 2)
    assert page.count("heat-why-gap") == 2 + 1  # and in the legend


def test_a_writer_that_fell_silent_says_since_when(auditor: Client) -> None:
    start = midnight(2)
    writer = a_writer(*(start + timedelta(minutes=n) for n in range(30)))
    found = texts(look(auditor, writer=writer), writer)
    assert f"{start + 5 * HOUR:%Y-%m-%d %H}:00: 0 events; silent since {start:%Y-%m-%d} 00:29 UTC" in found[5][
        :80
    ] + "".join(found)


def test_writers_come_page_by_page(auditor: Client) -> None:
    start, names = midnight(1), []
    prefix = f"~{secrets.token_hex(4)}"
    for n in range(WRITERS_SHOWN + 2):
        names.append(f"{prefix}-{n:03}")
        Rhythm.objects.create(writer=names[-1], events=1, first_at=start, last_at=start)
    page = look(auditor, after=prefix)
    assert all(name in page for name in names[:WRITERS_SHOWN])
    following = re.search(r'href="(\?[^"]*)">more writers', page)
    assert following
    page = html.unescape(auditor.get(PAGE + following[1]).content.decode())
    assert [name for name in names if f">{name}<" in page] == names[WRITERS_SHOWN:]


@pytest.mark.parametrize(
    "parameters",
    [
        {"until": "nonsense"},
        {"until": "9999-12-31"},
        {"until": "0001-01-01"},
        {"day": "2026-02-31"},
        {"day": "0001-01-01", "writer": "x"},
        {"writer": "\x00"},
        {"after": "\u202e" * 500},
    ],
    ids=str,
)
def test_odd_addresses_do_not_break_the_picture(auditor: Client, parameters: dict[str, str]) -> None:
    assert auditor.get(PAGE, parameters).status_code == 200


def test_it_is_for_those_who_look_after_completeness(operator: Client, administrator: Client) -> None:
    assert operator.get(PAGE).status_code == 200
    assert administrator.get(PAGE).status_code == 403
    for page in ("/admin/audit/gap/", "/admin/audit/account/"):
        assert f'href="{reverse("admin:audit_hourcount_changelist")}"' in operator.get(page).content.decode()
