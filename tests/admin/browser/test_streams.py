"""The pages of streams in a real Chromium: clean and accessible, whatever a target answered."""

import secrets
from datetime import timedelta

import pytest

from audit.ledger import reader
from audit.models import Stream
from audit.postgres import sql
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import person
from tests.audit.evidence.conftest import HOSTILE, sealed

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.long
def test_the_pages_of_streams_are_clean_and_accessible(visitor: Visitor) -> None:
    sealed(3)
    # The visitor comes in several times: light, dark, narrow.
    mark = secrets.token_hex(3)
    now, size = sql.now(), reader.signed_size()
    long_ago = now - timedelta(hours=3)
    samples = [[(now - timedelta(minutes=10 * n)).isoformat(), (n * 37) % 900] for n in range(100, 0, -1)]
    usual = {
        "begun_at": long_ago,
        "seen_at": now,
        "taken_at": now,
        "position": size,
        "records": 120_345,
        "bytes": 10**9,
    }
    Stream.objects.bulk_create(
        [
            Stream(name=f"lake-{mark}", kind="file", place="/var/lib/auditsite/lake", samples=samples, **usual),
            Stream(
                name=f"siem-{mark}",
                kind="splunk",
                place="https://splunk.example.com:8088/services/collector/event",
                problem=f"https://splunk.example.com:8088 answered 503: {HOSTILE} Server is busy",
                problem_since=long_ago,
                refused=2,
                refusals=[{"index": 7, "why": HOSTILE, "at": now.isoformat()}],
                samples=samples,
                unredacted=True,
                **usual | {"position": size - 2},
            ),
            Stream(
                name=f"search-{mark}",
                kind="elastic",
                place="https://e.example.com/audit",
                **usual | {"seen_at": long_ago},
            ),
            Stream(
                name=f"left-{mark}",
                kind="http",
                place="https://collector.example.com/in",
                problem="https://collector.example.com/in did not answer: Connection refused",
                problem_since=long_ago,
                samples=samples,
                **usual | {"position": size - 2, "seen_at": long_ago},
            ),
            Stream(name=f"old-{mark}", kind="http", place="http://h", ended_at=now, **usual),
        ]
    )
    try:
        visitor.come_in(person("auditor"))
        of_list = "/admin/audit/stream/"
        for name, address in {
            "streams": of_list,
            "stream": f"{of_list}lake-{mark}/change/",
            "stream-failing": f"{of_list}siem-{mark}/change/",
            "stream-alone": f"{of_list}search-{mark}/change/",
            "stream-left": f"{of_list}left-{mark}/change/",
            "stream-ended": f"{of_list}old-{mark}/change/",
        }.items():
            visitor.open(address, name)
            assert visitor.findings_of_state(name) == [], name
        assert visitor.wrong == []
    finally:
        Stream.objects.filter(name__endswith=mark).update(ended_at=now)
