"""An answer promises, or refuses for good, only in the store's own words."""

from typing import Any

import httpx
import pytest

from auditclient.tiers import LONGEST_WAIT_S, Backoff, _judged

BAD_HOST = {"type": "/problems/bad-host", "status": 400, "detail": "The Host header names another site."}
INVALID = {"type": "/problems/validation-error", "status": 400, "field_errors": {"1.event_type": "too long"}}
CONFLICT = {"type": "/problems/conflict", "status": 409, "field_errors": {"0.event_id": "used before"}}


@pytest.mark.parametrize(
    ("code", "document", "verdict"),
    [
        (201, {"state": "stored", "receipt": "signed"}, "kept"),
        (202, {"state": "parked"}, "kept"),
        (202, {"state": "dead"}, "blocked"),
        (200, {"state": "maintenance"}, "blocked"),
        (200, {"status": "ok"}, "blocked"),
        (400, INVALID, "refused"),
        (409, CONFLICT, "refused"),
        (400, BAD_HOST, "blocked"),
        (400, {"title": "of a proxy"}, "blocked"),
        (422, INVALID, "blocked"),
    ],
)
def test_nothing_leaves_the_spool_for_an_answer_that_is_not_the_stores(
    code: int, document: dict[str, Any], verdict: str
) -> None:
    assert _judged(httpx.Response(code, json=document)).verdict == verdict


@pytest.mark.parametrize("code", [200, 400])
def test_a_page_of_a_proxy_neither_promises_nor_refuses(code: int) -> None:
    page = "<html><h1>The plain HTTP request was sent to HTTPS port</h1></html>"
    assert _judged(httpx.Response(code, html=page)).verdict == "blocked"


def test_a_tier_is_asked_again_within_an_hour_whatever_it_says() -> None:
    backoff = Backoff()
    backoff.fail(1e11)
    assert 0 < backoff.remaining_s() <= LONGEST_WAIT_S
