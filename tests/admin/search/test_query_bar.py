"""The query bar of the records: the address is the query, each part of it can be seen, changed and taken away."""

import html
import re
import secrets
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.test import Client

from audit.admin.search import query_bar
from audit.formats import grammar
from audit.formats.fields import FIELDS
from audit.search import cost
from tests.admin.conftest import stored_record
from tests.admin.search.conftest import RECORDS, listed


def shown(client: Client, text: str | None) -> str:
    """The list as a person reads its source; without a text, as the bare address shows it."""
    return html.unescape(client.get(RECORDS, {} if text is None else {"q": text}).content.decode())


def asked(address: str) -> str:
    return parse_qs(address.removeprefix("?"), keep_blank_values=True)["q"][0]


def links(page: str, part: str) -> dict[str, str]:
    """Of one part of the page: what each link says, and the query that it leads to."""
    match = re.search(rf'(?s)<(\w+) class="{part}".*?</\1>', page)
    assert match is not None, part
    found = re.findall(r'(?s)(?:<code>([^<]*)</code> )?<a href="(\?[^"]*)"[^>]*>(.*?)</a>', match[0])
    return {before or re.sub("<[^>]*>", "", inside): asked(address) for before, address, inside in found}


def test_a_query_finds_records_by_what_it_says(auditor: Client) -> None:
    actor = f"alice-{secrets.token_hex(6)}"
    wanted = stored_record(actor_id=actor, severity="critical", event_data={"pod": {"name": "web 1"}})
    stored_record(actor_id=actor, severity="info", event_data={"pod": {"name": "web 1"}})
    for text in (f"actor:{actor} -severity:info", f'actor:{actor[:-2]}* severity:critical data.pod.name:"web 1"'):
        assert listed(shown(auditor, text)) == [str(wanted.id)]


def test_each_term_is_a_chip_that_can_be_taken_away(auditor: Client) -> None:
    page = shown(auditor, "actor:alice actor:bob -severity:info after:7d")
    assert links(page, "chips") == {
        "actor:alice": "actor:bob -severity:info after:7d",
        "actor:bob": "actor:alice -severity:info after:7d",
        "-severity:info": "actor:alice actor:bob after:7d",
        "after:7d": "actor:alice actor:bob -severity:info",
    }


def test_the_bare_list_shows_the_last_seven_days_as_a_chip_that_can_be_taken_away(auditor: Client) -> None:
    assert links(shown(auditor, None), "chips") == {"after:7d": ""}
    assert 'class="chips"' not in shown(auditor, "")


def test_presets_change_the_time_and_nothing_else(auditor: Client) -> None:
    page = shown(auditor, "actor:alice after:7d")
    assert links(page, "presets") | {} == links(page, "presets") | {
        "15 min": "actor:alice after:15m",
        "1 h": "actor:alice after:1h",
        "24 h": "actor:alice after:24h",
        "7 d": "actor:alice after:7d",
        "30 d": "actor:alice after:30d",
        "quarter": "actor:alice after:90d",
        "all": "actor:alice",
    }
    assert re.findall(r'aria-current="true">([^<]*)<', page) == ["7 d"]


def test_a_window_that_is_filled_in_becomes_part_of_the_query(auditor: Client) -> None:
    response = auditor.get(
        RECORDS, {"q": "actor:alice after:7d", "from": "2026-03-04T10:00", "until": "2026-03-05T00:00"}
    )
    assert response.status_code == 302
    assert asked(response["Location"].partition(RECORDS)[2]) == (
        "actor:alice after:2026-03-04T10:00 until:2026-03-05T00:00"
    )


def test_the_help_lists_every_field_and_the_values_of_closed_sets(auditor: Client) -> None:
    page = shown(auditor, "")
    for name in (*FIELDS, "data.…"):
        assert f'<th scope="row">{name}</th>' in page
    for example in ("outcome:pending", "category:gateway", "severity:critical", "type:gateway.*"):
        assert f"<code>{example}</code>" in page


def test_a_known_value_in_the_help_narrows_the_query_at_hand() -> None:
    known = {link.label: asked(link.address) for line in query_bar.QueryBar("actor:alice").help for link in line.known}
    assert known["outcome:failure"] == "actor:alice outcome:failure"
    assert known["category:gateway"] == "actor:alice category:gateway"
    for text in known.values():
        assert str(grammar.parse(text)) == text


def test_a_query_that_cannot_be_read_is_not_lost_to_a_preset(auditor: Client) -> None:
    page = shown(auditor, "actor:alice 7d")
    assert ">15 min<" not in page
    assert '<th scope="row">actor</th>' in page


def test_a_list_without_records_proves_that_the_store_is_alive(auditor: Client) -> None:
    stored_record()
    page = shown(auditor, f"actor:nobody-{secrets.token_hex(6)} after:1h")
    assert "No records match." in page
    assert "The newest record in the store is" in page
    assert links(page, "none")["Widen to 30 days"].endswith(" after:30d")
    assert "after" not in links(page, "none")["Look at all times"]


def test_a_word_alone_is_searched_in_four_fields_and_the_page_says_so(auditor: Client) -> None:
    name = f"w-{secrets.token_hex(6)}"
    found = {str(stored_record(**{field: name}).pk) for field in ("correlation_id", "actor_id", "resource_id")}
    stored_record(actor_id=f"{name}x")
    page = shown(auditor, f"{name} after:2026-01-01")
    assert set(listed(page)) == found
    assert "Searched in id, correlation, actor and resource" in page
    assert f"actor:{name} after:2026-01-01" in links(page, "words").values()
    assert listed(shown(auditor, f"{name} -outcome:success")) == []
    assert 'class="figure counts"' in page and "3 records, 3 success" in page


def test_where_nothing_matches_the_near_spellings_and_fields_are_offered(auditor: Client) -> None:
    name = f"w{secrets.token_hex(6)}"
    stored_record(actor_id=name)
    assert f"?q=actor%3A{name}" in shown(auditor, f"actor:{name.upper()}")
    assert f"?q=actor%3A{name}" in shown(auditor, f"resource:{name}")


@pytest.mark.parametrize(
    ("text", "says", "offers"),
    [
        ("actor:alice 7d", "at character 13, '7d': say in which field", "actor:alice after:7d"),
        ("actr:alice after:7d", "did you mean `actor`?", "actor:alice after:7d"),
    ],
)
def test_a_query_that_cannot_be_read_offers_what_can(auditor: Client, text: str, says: str, offers: str) -> None:
    page = shown(auditor, text)
    assert says in page
    assert offers in links(page, "problem").values()
    assert listed(page) == []
    assert f'value="{text}"' in page


def test_a_query_that_would_scan_offers_narrower_ones(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_wide(query: Any, now: Any) -> None:
        raise cost.TooExpensive("this would cost too much", [grammar.parse("namespace:prod after:24h")])

    monkeypatch.setattr("audit.search.cost.check", too_wide)
    page = shown(auditor, "namespace:prod")
    assert "this would cost too much" in page
    assert links(page, "problem") == {"namespace:prod after:24h": "namespace:prod after:24h"}


def test_hostile_queries_are_shown_not_run(auditor: Client) -> None:
    hostile = '"><script>alert(1)</script>'
    for text in (hostile, f'actor:"{hostile}"', f"actor:{hostile}"):
        response = auditor.get(RECORDS, {"q": text})
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()


def test_a_record_leads_to_all_of_its_correlation(auditor: Client) -> None:
    record = stored_record(correlation_id=f'odd "{secrets.token_hex(6)}" *')
    page = html.unescape(auditor.get(f"{RECORDS}{record.id}/change/").content.decode())
    match = re.search(rf'href="{RECORDS}(\?[^"]*)">all of correlation', page)
    assert match is not None
    assert listed(shown(auditor, asked(match[1]))) == [str(record.id)]
