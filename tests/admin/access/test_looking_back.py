"""The access log goes back through the months so far at a time, however many there are and however few have looked."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.access import access_log
from audit.admin.access.access_log import SPANS
from audit.models import OWN_WRITER, Rhythm
from audit.postgres import sql
from tests import plans
from tests.admin.conftest import logged_in, person
from tests.attacks.scene import Scene

MONTHS = 60
# A look of that time, with an id of then, as a look of now says it.
LOOKED = """
INSERT INTO audit_record SELECT (jsonb_populate_record(look, jsonb_build_object(
    'id', overlay(audit_uuid7_floor(%(at)s)::text PLACING substring(gen_random_uuid()::text FROM 20) FROM 20),
    'event_timestamp', %(at)s, 'actor_id', %(who)s
))).* FROM audit_record look WHERE id = %(look)s
"""
# A year of months, what an id may be older by, the months ahead, the newest month again, and the default partition.
FEW = 12 + 2 + 4 + 1 + 1


def the_first_month() -> datetime:
    """The beginning of the first of `MONTHS` partitions before this month, which are made."""
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        sql.rows("SELECT audit_make_partition(%s)", [first])
    return first


def looked(client: Client, times: list[datetime], *, who: str) -> None:
    """So many looks of a person, at these times."""
    client.get("/admin/audit/record/")
    look = access_log.looks()[0]
    with connections["owner"].cursor() as cursor:
        for at in times:
            cursor.execute(LOOKED, {"at": at, "who": who, "look": look.pk})


@pytest.mark.slow
def test_a_page_with_few_looks_opens_few_months_and_leads_further_back_to_all_of_them(elsewhere: Scene) -> None:
    client, first, now = logged_in(person("auditor")), the_first_month(), datetime.now(UTC)
    times = [first + timedelta(days=3), now - timedelta(days=900), now - timedelta(days=200), now - timedelta(days=2)]
    looked(client, times, who="olga")
    Rhythm.objects.filter(writer=OWN_WRITER).delete()  # nothing is reconciled yet: its months say how old it is
    assert access_log.beginning() == first
    found, pages, asked = [], 0, f"?{urlencode({'who': 'olga'})}"
    while asked:
        pages += 1
        with CaptureQueriesContext(connections["reader"]) as queries:
            page = client.get(reverse("admin:audit_access_changelist") + asked).content.decode()
        looks = [query["sql"] for query in queries if 'FROM "audit_record"' in query["sql"]]
        assert 1 <= len(looks) <= len(SPANS)
        for text in looks:
            opened = {node for node in plans.tables(text, using="reader") if node.startswith("audit_record")}
            assert 1 <= len(opened) <= FEW, opened
        found += re.findall(r'<th scope="row"><a [^>]+><time datetime="([^"]+)"', page)
        onward = re.search(r'href="(\?[^"]+)" rel="next"', page)
        assert ("look further back" in page) is bool(onward)
        asked = onward[1].replace("&amp;", "&") if onward else ""
    assert [datetime.fromisoformat(text) for text in found] == sorted(times, reverse=True)
    assert pages == -(-(now - first).days // SPANS[-1].days)
    for until, says in ((first - timedelta(days=40), "in this period"), (now - timedelta(days=1_200), "since")):
        whole = {"who": "nobody", "until": f"{until:%Y-%m-%d}"}
        assert (
            f"No access by this person {says}"
            in client.get(f"{reverse('admin:audit_access_changelist')}", whole).content.decode()
        )
    Rhythm.objects.create(writer=OWN_WRITER, first_at=now, last_at=now)
    assert access_log.beginning() == now - timedelta(days=1)
