"""The list as JSON and CSV, and two records compared."""

import csv
import io
import json
import secrets
from tempfile import SpooledTemporaryFile
from typing import IO

import pytest
from django.test import Client
from django.urls import reverse

from audit.access import access_log
from audit.admin.search import data, table
from audit.admin.search.table import COLUMNS, row
from audit.evidence.volumes import cell
from audit.models import Record
from tests.admin.conftest import logged_in, person, stored_record

COMPARE = reverse("admin:audit_record_compare")
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]


def twin(client: Client, form: str, **asked: str) -> str:
    answer = client.get(reverse(f"admin:audit_record_{form}"), asked)
    assert answer.status_code == 200
    return (answer.getvalue() if answer.streaming else answer.content).decode("utf-8-sig")


def test_the_twin_answers_the_query_of_the_list(auditor: Client) -> None:
    word = secrets.token_hex(6)
    kept = [stored_record(correlation_id=word) for _ in range(3)]
    found = json.loads(twin(auditor, "json", q=f"correlation:{word}"))
    assert sorted(one["event_id"] for one in found["data"]) == sorted(str(one.pk) for one in kept)
    assert (found["query"], found["next"]) == (f"correlation:{word}", None)
    lines = list(csv.DictReader(io.StringIO(twin(auditor, "csv", q=f"correlation:{word}"))))
    assert sorted(line["event_id"] for line in lines) == sorted(str(one.pk) for one in kept)
    assert json.loads(lines[0]["event_data"]) == kept[0].event_data


def test_what_does_not_fit_is_behind_the_link(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LIMIT", 2)
    word = secrets.token_hex(6)
    kept = {str(stored_record(correlation_id=word).pk) for _ in range(5)}
    address: str | None = reverse("admin:audit_record_json") + f"?q=correlation:{word}"
    seen: list[str] = []
    while address:
        found = json.loads(auditor.get(address).content)
        seen += [one["event_id"] for one in found["data"]]
        address = found["next"]
    assert len(seen) == 5
    assert set(seen) == kept


@pytest.mark.parametrize("asked", [{"q": "nonsense:1"}, {"q": "", "after": "x"}])
def test_what_cannot_be_read_is_refused_in_words(auditor: Client, asked: dict[str, str]) -> None:
    answer = auditor.get(reverse("admin:audit_record_json"), asked)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_who_may_not_see_records_gets_none_in_any_form(outsider: Client, operator: Client, record: Record) -> None:
    for client in (outsider, operator):
        for name in ("json", "csv", "compare"):
            assert client.get(reverse(f"admin:audit_record_{name}"), {"q": f"id:{record.pk}"}).status_code == 403


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_formula_comes_alive_in_a_spreadsheet(formula: str) -> None:
    assert cell(formula).startswith(f"'{formula[0]}")
    record = stored_record(actor_id=formula.strip() or "=", event_action=formula)
    (line,) = csv.DictReader(io.StringIO(row(record), newline=""), COLUMNS)
    assert line["event_action"].startswith(f"'{formula[0]}")


@pytest.mark.parametrize(
    ("text", "cell_text"),
    [
        ("a;=1+1", "a;'=1+1"),
        ('a;"=1+1"', 'a;"\'=1+1"'),
        ("a\n@SUM(A1)", "a\n'@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a-b=c", "a-b=c"),
    ],
)
def test_no_formula_comes_alive_where_another_character_separates_cells(text: str, cell_text: str) -> None:
    assert cell(text) == cell_text
    assert json.loads(cell({"note": text, "change": -5})) == {"note": text, "change": -5}
    assert ";=" not in cell({"note": text})


def test_a_table_holds_every_record_and_its_name_says_so(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    word = secrets.token_hex(6)
    for number in range(3):
        stored_record(correlation_id=word, actor_id=f"Jörg {number}")
    monkeypatch.setattr(data, "LIMIT", 2)
    answer = auditor.get(reverse("admin:audit_record_csv"), {"q": f"correlation:{word}"})
    assert 'filename="records-1-3-of-3.csv"' in answer["Content-Disposition"]
    assert "Jörg 2" in answer.getvalue().decode("utf-8-sig")


def test_a_table_that_is_cut_says_of_how_many_it_holds_which(monkeypatch: pytest.MonkeyPatch) -> None:
    user = person("auditor")
    auditor = logged_in(user)
    word = secrets.token_hex(6)
    for _ in range(3):
        stored_record(correlation_id=word)
    monkeypatch.setattr(table, "MAX_RECORDS", 2)
    answer = auditor.get(reverse("admin:audit_record_csv"), {"q": f"correlation:{word}"})
    assert 'filename="records-1-2-of-3.csv"' in answer["Content-Disposition"]
    assert len(list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))) == 2
    (look,) = access_log.looks().filter(actor_id=user.username)
    assert look.event_data["rows"] == 2


def test_numbers_and_absent_members_stay_what_they_are() -> None:
    assert [cell(value) for value in (-5, 1.5, True, None, {"a": 1}, "plain")] == [
        "-5",
        "1.5",
        "true",
        "",
        '{"a": 1}',
        "plain",
    ]
    assert set(stored_record().as_json()) <= set(COLUMNS)


def test_two_records_are_compared_member_by_member(auditor: Client) -> None:
    word = secrets.token_hex(4)
    one = stored_record(event_data={"replicas": 2, "same": word})
    two = stored_record(event_data={"replicas": 5, "same": word}, event_outcome="failure")
    page = auditor.get(COMPARE, {"id": [str(one.pk), str(two.pk)]}).content.decode()
    for text in ("<code>.event_data.replicas</code>", "<td>2</td><td>5</td>", "<code>.event_outcome</code>"):
        assert text in page
    assert word not in page


@pytest.mark.parametrize("ids", [[], ["x", "y"], ["01a20bb1-b393-74f5-b757-9d83c0875f64"]])
def test_what_is_not_two_records_is_sent_back_with_words(auditor: Client, ids: list[str]) -> None:
    assert "Select exactly two records" in auditor.get(COMPARE, {"id": ids}, follow=True).content.decode()


def test_a_table_that_takes_too_long_is_refused_in_words_and_leaves_no_file(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MAX_S", -1.0)
    monkeypatch.setattr(table, "BYTES_IN_MEMORY", 1)
    made: list[IO[bytes]] = []

    def watched(size: int) -> IO[bytes]:
        made.append(SpooledTemporaryFile(size))  # noqa: SIM115  # the page closes it
        return made[-1]

    monkeypatch.setattr(table, "SpooledTemporaryFile", watched)
    word = stored_record(correlation_id=secrets.token_hex(6)).correlation_id
    answer = auditor.get(reverse("admin:audit_record_csv"), {"q": f"correlation:{word}"})
    assert answer.status_code == 503
    (file,) = made
    assert file.closed
