"""The page of one record: what it says of the event, what is beside it, and what can be taken away."""

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime, timedelta

from django.test import Client
from django.urls import reverse

from audit.admin.search.diff import difference
from audit.admin.search.json_tree import LINES, tree
from audit.formats.event import accept
from audit.formats.times import precise
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Record
from tests.admin.conftest import stored_record
from tests.admin.queue.conftest import an_episode
from tests.audit.conftest import an_event


def page_of(client: Client, record: Record) -> str:
    response = client.get(reverse("admin:audit_record_change", args=[record.pk]))
    assert response.status_code == 200
    return response.content.decode()


def test_the_five_ws_come_first(auditor: Client) -> None:
    record = stored_record(actor_id="alice", namespace="payments", cluster_id="eu-1", error_code="E_QUOTA")
    page = page_of(auditor, record)
    words = re.findall(r"<dt>(.*?)</dt>", page)
    assert words[:7] == ["Who", "What", "Resource", "When", "Where", "Writer", "Outcome"]
    assert page.index("<dt>Who") < page.index("Event data")
    for text in ("alice", "payments", "eu-1", "E_QUOTA", "tests"):
        assert text in page


def test_each_member_has_its_path(auditor: Client) -> None:
    page = page_of(auditor, stored_record(event_data={"pods": [{"name": "web", "a b": 1}], "n": None}))
    for path in (".event_data.pods[0].name", ".event_data.pods[0][&quot;a b&quot;]", ".event_data.n"):
        assert f"data-copy>{path}</code>" in page
    assert "1 element" in page
    assert 'src="/static/audit/record' in page


def test_a_wide_document_is_cut_and_says_so(auditor: Client) -> None:
    record = stored_record(event_data={"wide": list(range(20_000))})
    page = page_of(auditor, record)
    assert "There is more than is shown here" in page
    assert page.count('class="leaf"') <= LINES
    assert page.count("<details") == page.count("</details>")


def test_lines_that_are_cut_are_closed_again() -> None:
    found = tree([[[0] * LINES]], ".x")
    assert found.is_cut
    assert [line.kind for line in found.lines].count("begin") == [line.kind for line in found.lines].count("end")


def test_what_changed_is_shown_member_by_member(auditor: Client) -> None:
    before = {"replicas": 2, "image": "web:1", "labels": {"tier": "gold"}, "same": [1, 2]}
    after = {"replicas": 5, "image": "web:1", "owner": "bob", "labels": {}, "same": [1, 2]}
    page = page_of(auditor, stored_record(event_data={"before": before, "after": after}))
    for kind, path in (("changed", "replicas"), ("added", "owner"), ("removed", "labels.tier")):
        row = re.search(rf'<tr class="is-{kind}"><th scope="row"><code>\.event_data\.{re.escape(path)}</code>', page)
        assert row, (kind, path)
    assert "<del>2</del>" in page and "<ins>5</ins>" in page
    assert "3 fields changed, 3 unchanged" in page


def test_pairs_of_other_names_and_deeper_ones_are_found() -> None:
    found = difference({"changes": {"size": {"old": 1, "new": 2}}, "move": [{"from": "a", "to": "b"}]}, "$")
    assert found is not None
    assert [(one.path, one.before, one.after) for one in found.changes] == [
        ("$.changes.size", "1", "2"),
        ("$.move[0]", '"a"', '"b"'),
    ]
    other = difference({"before": {"a": {"b": 1}}, "after": {"a": 5}}, "$")
    assert other is not None
    assert [(one.path, one.kind) for one in other.changes] == [("$.a", "added"), ("$.a.b", "removed")]
    assert difference({"before": 1, "elsewhere": {"after": 2}}, "$") is None


def test_an_event_without_a_before_has_no_table_of_changes(auditor: Client, record: Record) -> None:
    assert "What changed" not in page_of(auditor, record)


def test_the_neighbours_in_the_correlation_are_linked_with_their_distance(auditor: Client) -> None:
    correlation = f"rr-{secrets.token_hex(6)}"
    times = ("10:00:00", "10:00:02.500", "10:07:00")
    first, middle, last = (
        stored_record(correlation_id=correlation, event_timestamp=f"2026-08-18T{time}Z") for time in times
    )
    page = page_of(auditor, middle)
    for distance, side, other in (("2.5 s", "before", first), ("6 min 57 s", "after", last)):
        assert f'{distance} {side}: <a href="{reverse("admin:audit_record_change", args=[other.pk])}"' in page
    assert "The only record of its correlation" in page_of(auditor, stored_record())


def test_events_of_the_first_days_of_time_have_pages_that_lead_to_each_other(auditor: Client) -> None:
    correlation = f"rr-{secrets.token_hex(6)}"
    first, second = (
        stored_record(correlation_id=correlation, event_timestamp=f"0001-01-0{day}T00:00:00Z") for day in (1, 3)
    )
    assert str(second.pk) in page_of(auditor, first)
    assert str(first.pk) in page_of(auditor, second)


def test_the_timelines_of_its_correlation_actor_and_resource_are_linked(auditor: Client) -> None:
    record = stored_record(actor_id="a&b=c", resource_id="pod 7")
    page = page_of(auditor, record)
    address = reverse("admin:audit_record_timeline")
    for query in (f"correlation={record.correlation_id}", "actor=a%26b%3Dc", "resource=pod+7"):
        assert f'href="{address}?{query}"' in page


def test_a_record_that_waited_says_how_long_and_in_which_outage(auditor: Client) -> None:
    began = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=secrets.randbelow(10**9) / 10)
    episode = an_episode(began_at=began, up_at=began, emptied_at=began + timedelta(seconds=3))
    accepted = accept(an_event(), writer="tests")
    store([accepted], timeout_s=20, parked_at=[began + timedelta(seconds=1)])
    page = page_of(auditor, Record.objects.get(id=accepted.id))
    assert "Through the dead letter queue, where it waited" in page
    assert reverse("admin:audit_episode_change", args=[episode.pk]) in page


def test_a_record_that_is_sealed_names_its_leaf(auditor: Client, record: Record) -> None:
    while seal.Sealer().once().more:
        pass
    page = page_of(auditor, record)
    assert re.search(r'href="#prove">entry \d+ of the log: verify', page)
    assert reverse("admin:audit_record_bundle", args=[record.pk]) in page


def test_the_canonical_bytes_are_what_the_digest_covers(auditor: Client) -> None:
    record = stored_record(event_data={"ü": "<\u202e>", "n": 1.5})
    response = auditor.get(reverse("admin:audit_record_canonical", args=[record.pk]))
    assert hashlib.sha256(b"\x00" + response.content).digest() == bytes(record.digest)
    assert json.loads(response.content)["event_data"]["ü"] == "<\u202e>"
    assert response["Content-Disposition"] == f'attachment; filename="{record.id}.json"'
    assert "sha256sum" in page_of(auditor, record)


def test_who_may_not_see_records_takes_nothing_away(operator: Client, record: Record) -> None:
    for page in ("change", "proof", "bundle", "canonical"):
        assert operator.get(reverse(f"admin:audit_record_{page}", args=[record.pk])).status_code == 403


def test_times_are_written_as_people_say_them() -> None:
    seconds: dict[float, str] = {
        0.34: "340 ms",
        12.44: "12.4 s",
        303: "5 min 3 s",
        7620: "2 h 7 min",
        273_600: "3 d 4 h",
    }
    assert {one: precise(one) for one in seconds} == seconds
    assert precise(-90) == "-1 min 30 s"
