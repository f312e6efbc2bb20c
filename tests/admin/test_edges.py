"""Whatever was ever accepted can be shown, searched, exported and verified, however strange it is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import verify
from audit.completeness import reconcile
from audit.formats import canonical
from audit.formats.event import FIELDS as EVENT_FIELDS
from audit.formats.event import MAX_DATA_BYTES, limit
from audit.formats.fields import DATA, FIELDS
from audit.formats.grammar import MAX_TEXT, Query, Term, Value
from audit.ledger import seal
from audit.models import Record
from audit.reports import render
from tests.admin.conftest import logged_in, parked_message, person, stored_record
from tests.audit.conftest import EVENTS, Sender
from tests.audit.evidence.conftest import PINNED, path
from tests.audit.evidence.conftest import made as made_bundle
from tests.audit.reports.conftest import made as made_report

SAFE = canonical.MAX_SAFE_INTEGER
# Ends of the ranges of Unicode, what reorders, joins or hides, and what means something to a parser of ours.
ODD = [
    *"\x01\t\n\r\x1b\x7f\x80\x85\x9b\xa0\xad\u0300\u200b\u200d\u202e\u2028\u2066\ufdd0\ufeff\ufffc\ufffd\ufffe\uffff",
    *"\U00010000\U0001f468\U000e0041\U0010ffff\ud7ff\ue000ßİ\u017fΣ\u1e9e\u212a",
    *"\"'\\/%_*?:.,;-+=@#&<>{}[]()|$^~` 0aA",
    *("null", "true", "1e5", "-0", "data.", "\\u0000", "%00", "</script>", "{{ 7|add:7 }}", "=1+1", "__proto__"),
]


def short(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """A text of odd parts, or as long as may be."""
    parts = st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    long = st.sampled_from([letter for letter in ODD if len(letter) == 1]).map(lambda letter: letter * most)
    texts = parts.map(lambda drawn: "".join(drawn)[:most]) | long
    return texts.filter(lambda text: len(text) >= least)


def moments() -> st.SearchStrategy[str]:
    """The first and the last moment that there may be, and what is written in odd ways."""
    drawn = st.datetimes(max_value=datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=50))
    zones = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+23:59", "-23:59", "+05:45"])
    fractions = st.sampled_from(["", ".1", ".999999", ".000001", ".9999999", ".123456789", "." + "9" * 60])
    written = st.builds(
        lambda moment, fraction, zone: f"{moment:%H:%M:%S}{fraction}{zone}", drawn, fractions, zones
    ).flatmap(lambda tail: drawn.map(lambda day: f"{day.date().isoformat()}T{tail}"))
    edges = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00-23:59", "1582-10-10T00:00:00Z", "1883-11-18T12:03:58Z"]
    edges += ["1969-12-31T23:59:59.999999Z", "2016-12-31T23:59:60Z", "2000-02-29t00:00:00z", "0099-12-31T23:59:59Z"]
    return st.sampled_from(edges) | written


numbers = (
    st.integers(-SAFE, SAFE)
    | st.floats(-SAFE, SAFE)
    | st.sampled_from([SAFE, -SAFE, 5e-324, -5e-324, 1e-300, 1e-7, 1e-6, 1e-4, 0.1 + 0.2, -0.0, 1e15 + 0.5, 12.0])
)
scalars = st.none() | st.booleans() | numbers | short(30)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(short(10), inner), max_leaves=15)


def deep(value: Any, name: str, levels: int) -> Any:
    for level in range(levels):
        value = {name: value} if level % 2 else [value]
    return value


large = st.one_of(
    st.sampled_from(ODD).map(lambda part: {"text": part * ((MAX_DATA_BYTES - 100) // len(json.dumps(part)))}),
    numbers.map(lambda number: {"numbers": [number] * ((MAX_DATA_BYTES - 100) // (len(repr(number)) + 1))}),
    st.just({"many": [{"n": number} for number in range(20_000)]}),
    st.just({f"name {number}": number for number in range(15_000)}),
)
data = (
    st.dictionaries(short(20), values, max_size=5)
    | st.builds(lambda value, name, levels: {"deep": deep(value, name, levels)}, scalars, short(5), st.integers(50, 63))
    | st.builds(lambda before, after: {"before": before, "after": after}, values, values)
    | large
)
words = st.from_regex(r"[a-z][a-z0-9_-]{0,40}", fullmatch=True)
addresses = st.sampled_from(["0.0.0.0", "::", "::ffff:192.0.2.7", "2001:DB8::1", "2001:db8:0:0:1::192.0.2.7"])
required = {
    "version": short(20, 1),
    "event_type": words.flatmap(lambda word: st.sampled_from([word, f"{word}.{word}", f"{word}.-", word[:1] * 100])),
    "event_timestamp": moments(),
    "event_category": words,
    "event_action": short(50, 1),
    "event_outcome": st.sampled_from(["success", "failure", "pending"]),
    "correlation_id": short(255, 1),
    "event_data": data,
}
texts = ("actor_type", "actor_id", "resource_type", "resource_id", "namespace", "cluster_id", "severity", "error_code")
optional = {name: st.none() | short(limit(name) or 1) for name in (*texts, "error_message")}
optional |= {
    "event_id": st.just(None),
    "actor_ip": addresses | st.ip_addresses().map(str),
    "parent_event_id": st.uuids().map(str),
    "duration_ms": st.sampled_from([0, 1, 12.0, 2_147_483_647]),
    "retention_days": st.sampled_from([1, 36_500]),
    "is_sensitive": st.booleans(),
    "source_seq": st.sampled_from([1, 7.0, SAFE]),
    "source_epoch": short(64, 1),
}
events = st.fixed_dictionaries(required, optional=optional)


class Cast:
    """Who sends, reads and looks."""

    def __init__(self) -> None:
        self.service = Sender("write", "read", "export")
        self.auditor = logged_in(person("auditor"))
        self.superuser = logged_in(person(None, is_superuser=True))
        self.accepted = 0

    def page(self, name: str, *arguments: Any, client: Client | None = None, **asked: str) -> bytes:
        address = reverse(f"admin:audit_{name}", args=arguments)
        answer = (client or self.auditor).get(address, asked)
        assert answer.status_code == 200, (address, asked, answer.status_code)
        return answer.getvalue() if answer.streaming else answer.content

    def answer(self, address: str, **asked: str) -> Any:
        answer = self.service.get(address, **asked)
        assert answer.status_code == 200, (address, asked, answer.status_code)
        return answer

    def walk(self, documents: list[dict[str, Any]]) -> None:
        """Send events, and go with each that is accepted wherever it may be seen."""
        answers = [self.service.post(document) for document in documents]
        assert {answer.status_code for answer in answers} <= {201, 400}
        ids = [answer.json()["event_id"] for answer in answers if answer.status_code == 201]
        kept = [document for document, answer in zip(documents, answers, strict=True) if answer.status_code == 201]
        assume(ids)  # else two examples may be none that is accepted
        self.accepted += len(ids)
        seal.Sealer().once()
        reconcile.reconcile()
        for event_id, document in zip(ids, kept, strict=True):
            self.is_read_back(event_id, document)
            self.is_shown(Record.objects.get(id=event_id))
            self.is_found(Record.objects.get(id=event_id))
        self.page("record_compare", id=[ids[0], str(stored_record().pk)])  # type: ignore[arg-type]
        self.is_exported(ids)
        self.page(
            "parked_change", parked_message(**canonical.loads(json.dumps(kept[0]).encode())).id, client=self.superuser
        )

    def is_read_back(self, event_id: str, document: dict[str, Any]) -> None:
        shown = self.answer(f"{EVENTS}/{event_id}").json()
        assert shown["state"] == "sealed"
        sent = {name: value for name, value in document.items() if value is not None and name != "event_timestamp"}
        assert {name: shown[name] for name in sent} == sent
        stored = {name: value for name, value in shown.items() if name in (*EVENT_FIELDS, "writer")}
        assert canonical.digest(canonical.canonical(stored)).hex() == shown["digest"]
        for part in ("proof", "bundle"):
            assert self.answer(f"{EVENTS}/{event_id}/{part}").content

    def is_shown(self, record: Record) -> None:
        asked = {"q": f"id:{record.pk}"}
        assert b"it does not match" not in self.page("record_change", record.pk)
        assert str(record.pk).encode() in self.page("record_changelist", **asked)
        assert json.loads(self.page("record_json", **asked))["data"][0]["digest"] == bytes(record.digest).hex()
        assert str(record.pk).encode() in self.page("record_csv", **asked)
        for subject in ("correlation", "actor", "resource"):
            if value := getattr(record, f"{subject}_id"):
                assert str(record.pk).encode() in self.page("record_timeline", **{subject: value})
        self.page("hourcount_changelist", writer=record.writer)
        self.page("hourcount_changelist", category=record.event_category)

    def is_found(self, record: Record) -> None:
        """By each of its fields, and by a member of its data."""
        fields = [(name, str(value)) for name, field in FIELDS.items() if (value := getattr(record, field.column))]
        terms = [Term(name, (Value(value),)) for name, value in fields if FIELDS[name].kind != "time"]
        terms += [Term(DATA, (Value(text),), path=way) for way, text in members(record.event_data)][:3]
        for term in terms:
            asked = str(Query((Term("id", (Value(str(record.pk)),)), term)))
            if len(asked) <= MAX_TEXT:
                assert self.answer(EVENTS, q=asked).json()["pagination"]["total"] == 1, asked

    def is_exported(self, ids: list[str]) -> None:
        bundle = made_bundle(query=" ".join(f"id:{event_id}" for event_id in ids), with_csv=True)
        assert bundle.done == len(ids)
        assert verify.main(["evidence", str(path(bundle)), *PINNED]) == 0
        path(bundle).unlink()
        extract = self.answer("/api/v1/audit/export", q=f"id:{ids[0]}")
        assert ids[0].encode() in (extract.getvalue() if extract.streaming else extract.content)
        record = Record.objects.get(id=ids[0])
        chain = self.service.post({"correlation_id": record.correlation_id}, "/api/v1/audit/verify-chain")
        assert (chain.status_code, chain.json()["is_valid"]) == (200, True), chain.json()


def members(data: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Members of the data that are texts or numbers: how to get there, and what is searched for."""
    texts = [(name, value) for name, value in data.items() if type(value) in (str, int, float) and name]
    return [((name,), value if isinstance(value, str) else json.dumps(value)) for name, value in texts]


@pytest.mark.slow
@pytest.mark.parametrize("examples", [2, pytest.param(50, marks=pytest.mark.long)])
def test_whatever_is_accepted_is_shown_searched_exported_and_verified(
    examples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cast = Cast()
    fast = hypothesis_settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    fast(given(st.lists(events, min_size=1, max_size=3))(cast.walk))()
    assert cast.accepted >= examples // 2
    report = made_report()
    for kind in ("html", "json"):
        assert render.file(report, kind)
    assert cast.page("report_change", report.pk)
    assert "ALTERED" not in capsys.readouterr().out
