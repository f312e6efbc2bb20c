"""Whatever a payload holds, no page runs it, is turned around by it or breaks under it, and no terminal hears it."""

import json
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

import dlq.stream
from audit import safe_text
from audit.completeness import coverage, sequences, silence
from audit.models import HourCount, Record
from tests.admin.conftest import ESCAPE, OVERRIDE, SCRIPT, TERMINAL, TURNED, own, parked_message, stored_record
from tests.audit.completeness.conftest import numbers_of
from tests.audit.conftest import sealed_event


def pages(client: Client, record: Record) -> dict[str, str]:
    """Every page that shows something of a record."""
    timeline = reverse("admin:audit_record_timeline")
    found = {
        "record": client.get(reverse("admin:audit_record_change", args=[record.pk])),
        "list": client.get(reverse("admin:audit_record_changelist"), {"q": f"id:{record.pk}"}),
        "correlation": client.get(timeline, {"correlation": record.correlation_id}),
        "actor": client.get(timeline, {"actor": record.actor_id}),
        "resource": client.get(timeline, {"resource": record.resource_id}),
        "nothing": client.get(timeline, {"actor": f"{record.actor_id}!"}),
        "coverage": client.get(reverse("admin:audit_hourcount_changelist"), {"writer": record.actor_id}),
    }
    assert {name: response.status_code for name, response in found.items()} == dict.fromkeys(found, 200)
    return {name: response.content.decode() for name, response in found.items()}


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT,
        "\"><img src=x onerror=alert(1)>'",
        "</title></svg></pre></code><svg onload=alert(1)>",
        "{{ 7|add:7 }}{% load log %}",
    ],
)
def test_markup_is_shown_and_not_run(auditor: Client, text: str) -> None:
    for name, page in pages(auditor, stored_record(**own(text))).items():
        assert text not in page or text.startswith("{{"), name
        for tag in ("<script>alert", "<img src=x", "<svg onload"):
            assert tag not in page, name


def test_no_link_leads_to_what_a_payload_says(auditor: Client) -> None:
    for name, page in pages(auditor, stored_record(**own("javascript:alert(1)"))).items():
        assert "javascript:alert(1)" in page
        assert 'href="javascript:' not in page and 'src="javascript:' not in page, name


def test_what_would_turn_words_around_is_shown_as_its_escape(auditor: Client) -> None:
    for name, page in pages(auditor, stored_record(**own(TURNED))).items():
        assert safe_text.harmless(page) == page, name
        assert "invoice\\u202Efdp.exe\\u2066\\u200F\\u061C" in page, name


def test_what_cannot_be_seen_is_seen_on_the_page_of_a_record(auditor: Client) -> None:
    record = stored_record(actor_id="ali\u200bce", event_data={"adm\u200din": "\ufeffx\U000e0041"})
    page = auditor.get(reverse("admin:audit_record_change", args=[record.pk])).content.decode()
    for text in ("ali\\u200Bce", "adm\\u200Din", "\\uFEFFx\\uDB40\\uDC41"):
        assert text in page


def test_terminal_escapes_reach_no_page(auditor: Client) -> None:
    for name, page in pages(auditor, stored_record(**own(TERMINAL))).items():
        assert not {ESCAPE, "\x07", "\x9b"} & set(page), name
        assert "\\u001B" in page or "\\u001b" in page, name


def test_a_huge_text_is_folded_and_whole(auditor: Client) -> None:
    huge, long = "x<" * 100_000, "y" * 20_000
    record = stored_record(event_data={"huge": huge, "before": long, "after": long[1:]}, error_message="<" * 10_000)
    found = pages(auditor, record)
    assert "200,000 characters" in found["record"]
    assert "x&lt;" * 100_000 in found["record"]
    assert len(found["record"]) < 1_000_000
    assert all(len(page) < 500_000 for name, page in found.items() if name != "record")


def test_a_deep_and_wide_document_is_bounded(auditor: Client) -> None:
    deep: Any = {"n": 1}
    for _ in range(7):
        deep = {"in": deep, **{f"m{n}": [[]] for n in range(60)}}
    page = pages(auditor, stored_record(event_data={"deep": deep, "wide": [[n] for n in range(9_000)]}))["record"]
    assert page.count("<details") == page.count("</details>")
    assert len(page) < 1_000_000


def test_names_as_long_as_the_payload_are_shortened(auditor: Client) -> None:
    name = "n" * 60_000
    page = pages(auditor, stored_record(event_data={name: {name: 1}, "before": {name: 1}, "after": {}}))["record"]
    assert "60,002 characters" in page
    assert len(page) < 100_000


def test_a_writer_of_a_hostile_name_is_harmless_in_the_picture(auditor: Client) -> None:
    writer, now = f"!{SCRIPT}{TURNED}{secrets.token_hex(3)}", datetime.now(UTC)
    silence.apply([sealed_event(writer, now)])
    coverage.apply([sealed_event(writer, now)])
    for parameters in ({"after": writer[:-1]}, {"writer": writer}):
        page = auditor.get(reverse("admin:audit_hourcount_changelist"), parameters).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert SCRIPT not in page and OVERRIDE not in page


def test_a_parked_event_is_harmless_before_it_is_a_record(superuser_client: Client) -> None:
    message = parked_message(**own(TERMINAL + TURNED + SCRIPT))
    page = superuser_client.get(reverse("admin:audit_parked_change", args=[message.id])).content.decode()
    assert safe_text.harmless(page) == page
    assert SCRIPT not in page


def quiet(text: str) -> bool:
    return not {ESCAPE, "\x07", "\x9b", OVERRIDE} & set(text)


def output(*command: str) -> str:
    out = StringIO()
    with suppress(SystemExit):
        call_command(*command, stdout=out, stderr=out)
    return out.getvalue()


def test_reconciling_prints_no_escape_of_an_epoch() -> None:
    writer = f"writer-{secrets.token_hex(4)}"
    sequences.apply(one._replace(epoch=TERMINAL + OVERRIDE) for one in numbers_of(writer, 1, 5))
    found = output("reconcile")
    assert writer in found or "more gaps" in found
    assert quiet(found)


def test_counting_anew_prints_no_escape_of_a_writer() -> None:
    hour = datetime(2024, 2, 3, tzinfo=UTC)
    HourCount.objects.create(writer=f"{TERMINAL}{secrets.token_hex(4)}", hour=hour, events=1)
    found = output("coverage", "rebuild", "--since", "2024-02-03")
    assert "\\u001B]0;owned" in found
    assert quiet(found)


def test_the_queue_prints_no_escape_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{TERMINAL}{OVERRIDE}[red]x[/red]"
    message = parked_message(**own(text))
    dlq.stream.for_drain().fail(message, "Poison", text, dead=True)
    shown = output("dlq", "show", message.key)
    output("dlq", "ls", "--state", "dead", "--limit", "1000")
    listed = capsys.readouterr().out
    assert message.key in shown and message.key[:8] in listed
    assert quiet(shown) and quiet(listed)


def test_what_is_shown_as_an_escape_is_the_same_json() -> None:
    text = f"a{TURNED}{TERMINAL}\x7f\u2028\U000e0041 b"
    document = json.dumps({text: [text]}, ensure_ascii=False)
    for shown in (safe_text.harmless(document), safe_text.exact(document)):
        assert json.loads(shown) == {text: [text]}
        assert quiet(shown)


def test_what_only_joins_letters_is_left_on_pages() -> None:
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\n\t"
    assert safe_text.harmless(persian) == persian
    assert safe_text.exact(persian) == persian.replace("\u200c", "\\u200C")


@pytest.mark.parametrize("page", ["rejectedsample/?reason=%00", "brokenpromise/?kind=%00", "verification/?verdict=%00"])
def test_a_filter_that_no_database_can_hold_leads_to_the_page_without_it(superuser_client: Client, page: str) -> None:
    assert superuser_client.get(f"/admin/audit/{page}", follow=True).status_code == 200
