"""Redaction: by rules, named in each record, counted in the manifest; verify.py lets nothing pass under its cover."""

import json
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import connections
from django.db.utils import ProgrammingError
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import Invalid
from audit.evidence import build, export, redaction
from audit.evidence.request import Requester
from audit.formats import grammar
from audit.formats import redaction as redactor
from audit.formats.redaction import Redactor, Rule
from audit.models import Record
from tests.api.conftest import EXPORTS
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import (
    ME,
    OFFICER,
    PINNED,
    WHO,
    Made,
    lines_of,
    path,
    put,
    rule,
    sealed,
    signed_anew,
    unpacked,
)
from tests.auditor import parts, verify


def redacted(record: dict[str, Any], *rules: Rule) -> dict[str, Any]:
    (line,) = Redactor(rules, b"key").lines(json.dumps({"event_type": "a.b"} | record).encode() + b"\n").splitlines()
    bundle: dict[str, Any] = json.loads(line)
    return bundle


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def checked(where: Path, *arguments: str) -> tuple[int, str]:
        status = verify.main(["evidence", str(where), *PINNED, *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


# --- What a rule takes out ---


def test_each_method_leaves_what_it_says() -> None:
    record = {"actor_ip": "192.0.2.7", "actor_id": "ann@example.org", "event_data": WHO}
    bundle = redacted(record, rule(name="ip", method="mask"), rule(name="who", path="actor_id", method="digest"))
    assert bundle["actor_ip"] == "192.***"
    assert verify.LEFT["digest"].match(bundle["actor_id"])
    assert bundle["redacted"] == {"actor_ip": "ip", "actor_id": "who"}
    assert bundle["event_data"] == WHO
    bundle = redacted(record, rule(name="all", path="event_data"))
    assert (bundle["event_data"], bundle["redacted"]) == (None, {"event_data": "all"})


def test_equal_values_have_equal_digests_under_one_key_alone() -> None:
    of_ips = rule(path="data.**.ip", method="digest")
    bundle = redacted({"event_data": WHO}, of_ips)
    first, second = (host["ip"] for host in bundle["event_data"]["hosts"])
    assert first == second
    other = Redactor([of_ips], b"another")
    record = {"event_type": "a.b", "event_data": json.loads(json.dumps(WHO))}
    other.redact(record)
    assert record["event_data"]["hosts"][0]["ip"] != first


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ("data.user.email", ["event_data.user.email"]),
        ('data.user."a.b"', ['event_data.user."a.b"']),
        ("data.*.email", ["event_data.user.email"]),
        ("data.hosts.*.ip", ["event_data.hosts.0.ip", "event_data.hosts.1.ip"]),
        ("data.**.ip", ["event_data.hosts.0.ip", "event_data.hosts.1.ip"]),
        ("data.user", ["event_data.user"]),
        ("data.nobody", []),
        ("error_message", []),
    ],
)
def test_a_path_names_places_and_the_verifier_reads_it_alike(asked: str, places: list[str]) -> None:
    bundle = redacted({"event_data": WHO, "error_message": None}, rule(path=asked))
    assert list(bundle["redacted"] or []) == places
    for place in places:
        assert verify.fits(verify.path_parts(place), verify.path_parts(asked))
        assert verify.member_at(bundle, verify.path_parts(place)) is None
        assert verify.member_at({"event_data": WHO}, verify.path_parts(place)) is not None


def test_the_stronger_rule_holds_and_a_whole_covers_its_parts() -> None:
    bundle = redacted(
        {"event_data": WHO},
        rule(name="a", path="data.user.email", method="mask"),
        rule(name="b", path="data.*.email"),
        rule(name="c", path="data.hosts", method="digest"),
        rule(name="d", path="data.**.ip", method="remove"),
    )
    assert bundle["redacted"] == {"event_data.user.email": "b", "event_data.hosts": "c"}


@pytest.mark.parametrize("text", ["", "event_id", "writer", "actor_ip.x", "data.", "data..x", "data. x", "digest"])
def test_a_path_that_names_nothing_or_what_the_proof_needs_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        redactor.check(rule(path=text))
    assert refused.value.errors["path"]


@pytest.mark.parametrize("text", ['data."user"."email"', 'data.user."\\email"', 'data."hosts".*.ip', 'data.**."ip"'])
def test_a_name_in_quotes_that_it_does_not_need_is_refused_and_not_passed_over(text: str) -> None:
    """Records name it without them, so such a rule would have redacted nothing, and nobody would have heard of it."""
    with pytest.raises(Invalid, match="quotes that it does not need: write "):
        redactor.check(rule(path=text))


NAMES = st.text(min_size=1, max_size=4) | st.sampled_from(["a.b", "*", "**", '"', "\\", "0", "\ufeff", "\x85", "a b"])


@given(names=st.lists(NAMES, min_size=1, max_size=4))
def test_whatever_a_member_is_called_a_rule_that_names_it_redacts_it(names: list[str]) -> None:
    asked = redactor.path_text((redactor.DATA, *names))
    redactor.check(rule(path=asked))
    data: Any = "secret"
    for name in reversed(names):
        data = {name: data}
    bundle = redacted({"event_data": data}, rule(path=asked, method="mask"))
    assert "secret" not in json.dumps(bundle)
    assert list(bundle["redacted"]) == [asked]
    assert redactor.covers(asked, (redactor.DATA, *names))
    assert verify.fits(verify.path_parts(asked), verify.path_parts(asked))


@pytest.mark.parametrize(
    "value", ["ann@example.org", "a", "Kalle", "10.1.2.3", "@", 7, None, True, [1], {"a": 1}, "é\n***"]
)
def test_what_is_masked_is_of_the_form_that_the_verifier_asks_for(value: Any) -> None:
    assert verify.LEFT["mask"].match(redactor.mask(value))


# --- Rules ---


def test_each_change_of_a_rule_is_a_record(rules: Any) -> None:
    saved_rule = rules("actor_ip", event_type=f"redaction.t{secrets.token_hex(4)}")
    assert redaction.save_rule(saved_rule, by=OFFICER) == "unchanged"
    saved_rule.method = "mask"
    assert redaction.save_rule(saved_rule, by=OFFICER) == "changed"
    acts = Record.objects.filter(correlation_id=f"redaction-{saved_rule.name}").order_by("id")
    assert [act.event_type for act in acts] == ["audit.redaction.created", "audit.redaction.changed"]
    assert (acts[1].event_data["before"]["method"], acts[1].event_data["after"]["method"]) == ("remove", "mask")
    with pytest.raises(ProgrammingError, match="permission denied"), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_redactionrule WHERE id = %s", [saved_rule.pk])


# --- Bundles ---


def test_a_redacted_bundle_proves_each_place_and_says_what_it_does_not(made: Made, checked: Any) -> None:
    bundle = made(with_csv=True)
    status, printed = checked(path(bundle))
    assert (status, printed.endswith("VERDICT: REDACTED\n")) == (4, True), printed
    assert "what remains of the content of 3 redacted records" in parts(printed)["Stated"]
    assert "GDPR, article 5" in parts(printed)["Stated"]
    with zipfile.ZipFile(path(bundle)) as whole:
        text = whole.read("records-0001.jsonl").decode() + whole.read("records-0001.csv").decode()
        last = json.loads(whole.read("records-0001.jsonl").splitlines()[-1])
        page = whole.read("README.html").decode()
    assert "GDPR, article 5" in page
    assert "can be guessed and tried against it" in page
    assert text.count("ann@example.org") == 2  # the record that no rule concerns, in both files
    assert last["redacted"] is None
    summary = bundle.manifest["redaction"]
    assert summary["records"] == 3
    rules_of_test = [rule for rule in summary["rules"] if rule["event_type"].startswith("redaction.t")]
    assert {rule["path"]: rule["members"] for rule in rules_of_test} == {
        "data.user.email": 3,
        "event_data.hosts.*.ip": 6,
        "actor_ip": 3,
    }
    asked = Record.objects.get(correlation_id=f"export-{bundle.pk}", event_type="audit.export.asked")
    assert set(asked.event_data["rules"]) >= {applied["name"] for applied in bundle.redaction}


def test_the_originals_open_what_was_redacted(made: Made, checked: Any, tmp_path: Path) -> None:
    bundle = made()
    whole = build.resume(export.request(ME._replace(may_unredacted=True), query=bundle.query, unredacted=True))
    folder = unpacked(whole, tmp_path / "whole")
    originals = str(folder / "records-0001.jsonl")
    status, printed = checked(path(bundle), "--originals", originals)
    assert status == 0, printed
    assert "3 redacted records say what their originals say" in printed
    assert checked(path(whole))[0] == 0


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The first record of a bundle, changed."""
    lines = lines_of(folder)
    record = json.loads(lines[0])
    change(record)
    put(folder, [json.dumps(record).encode() + b"\n", *lines[1:]])


ERASED = {"basis": "GDPR Art. 17(1)(b)", "at": "2026-08-18T10:00:00.000000Z", "request": 1}
SALTED = {"actor_id": "00" * 32}


MUTATIONS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a member called erased that has no commitment": (
        lambda record: record.update(actor_id="mallory", erased={"actor_id": ERASED}),
        "actor_id was never accepted as something that can be erased",
    ),
    "a member with a salt and no commitment": (
        lambda record: record.update(actor_id="mallory", salts=SALTED),
        "actor_id was never accepted as something that can be erased",
    ),
    "a member called erased whose value is here": (
        lambda record: record.update(erased={"actor_id": ERASED}, erasable=SALTED),
        "actor_id is said to be erased, and its value is still here",
    ),
    "a value that does not fit its commitment": (
        lambda record: record.update(salts=SALTED, erasable=SALTED),
        "actor_id is not the value that was accepted",
    ),
    "a commitment called redacted": (
        lambda record: record["redacted"].update({"erasable": next(iter(record["redacted"].values()))}),
        "a rule that does not ask for it",
    ),
    "a member changed that no rule names": (
        lambda record: record["redacted"].update({"event_data.kept": next(iter(record["redacted"].values()))}),
        "a rule that does not ask for it",
    ),
    "a rule made up": (
        lambda record: record["redacted"].update({"actor_ip": "made-up"}),
        "a rule that the manifest does not name",
    ),
    "a value put where one was removed": (
        lambda record: record.update(actor_ip="198.51.100.1"),
        "is not what the method remove leaves",
    ),
    "a value put where one was masked": (
        lambda record: record["event_data"]["user"].update(email="bob@example.org"),
        "is not what the method mask leaves",
    ),
    "the outcome called redacted": (
        lambda record: record["redacted"].update({"event_outcome": next(iter(record["redacted"].values()))}),
        "a rule that does not ask for it",
    ),
    "named as redacted without a place": (lambda record: record.update(redacted={}), "does not name what is redacted"),
    "no more called redacted": (lambda record: record.update(redacted=None), "the digest of the event is not the one"),
    "one member not named any more": (
        lambda record: record["redacted"].pop("actor_ip"),
        "members are redacted by",
    ),
    "its digest changed": (lambda record: record.update(digest="0" * 64), "do not lead to the signed root"),
    "its time of receipt changed": (
        lambda record: record.update(received_at="2020-01-01T00:00:00.000000Z"),
        "do not lead to the signed root",
    ),
    "its id changed": (
        lambda record: record.update(event_id="01900000-0000-7000-8000-000000000001"),
        "do not lead to the signed root",
    ),
}


@pytest.mark.parametrize(("mutate", "words"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_nothing_is_slipped_in_under_cover_of_redaction(
    made: Made, checked: Any, tmp_path: Path, mutate: Any, words: str
) -> None:
    folder = unpacked(made(), tmp_path / "bundle")
    changed(folder, mutate)
    signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert words in printed


def test_a_manifest_that_says_fewer_is_refused(made: Made, checked: Any, tmp_path: Path) -> None:
    folder = unpacked(made(), tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest["redaction"].update(records=2))
    assert "3 records are redacted, the manifest names 2" in checked(folder)[1]
    signed_anew(folder, lambda manifest: manifest.update(redaction=None))
    status, printed = checked(folder)
    assert status == 1
    assert "a rule that the manifest does not name" in printed


def test_content_changed_beside_what_is_redacted_is_found_with_the_original(
    made: Made, checked: Any, tmp_path: Path
) -> None:
    """The one thing that an insider can do: the digest is of the whole, so who has it whole finds it out."""
    bundle = made()
    whole = build.resume(export.request(ME._replace(may_unredacted=True), query=bundle.query, unredacted=True))
    originals = str(unpacked(whole, tmp_path / "whole") / "records-0001.jsonl")
    folder = unpacked(bundle, tmp_path / "bundle")
    changed(folder, lambda record: record["event_data"].update(kept=2))
    signed_anew(folder)
    assert checked(folder)[0] == 4
    status, printed = checked(folder, "--originals", originals)
    assert status == 1
    assert "under cover of redaction its content was changed" in printed
    other = tmp_path / "other.jsonl"
    other.write_bytes((tmp_path / "whole" / "records-0001.jsonl").read_bytes().replace(b"ann@example.org", b"x"))
    assert "the original that was given is not this record" in checked(path(bundle), "--originals", str(other))[1]


def test_what_is_called_erased_is_left_out_only_where_the_original_commits_to_it(
    made: Made, checked: Any, tmp_path: Path
) -> None:
    """An insider called erased what they changed; it was left out of both sides, and the rest was the same."""
    bundle = made()
    whole = build.resume(export.request(ME._replace(may_unredacted=True), query=bundle.query, unredacted=True))
    originals = str(unpacked(whole, tmp_path / "whole") / "records-0001.jsonl")
    folder = unpacked(bundle, tmp_path / "bundle")
    forged = {"erasable": SALTED | {"erasable": ""}, "erased": {"actor_id": ERASED, "erasable": ERASED}}
    for more, words in (
        ({"erased": {"actor_id": ERASED}}, "actor_id was never accepted as something that can be erased"),
        ({"erasable": SALTED, "erased": {"actor_id": ERASED}}, "commits to other members that can be erased"),
        (forged, "erasable is said to be erased, and its value is still here"),
    ):
        changed(folder, lambda record, more=more: record.update(actor_id="$erasable", **more))
        signed_anew(folder)
        status, printed = checked(folder, "--originals", originals)
        assert (status, words in printed) == (1, True), printed
    changed(folder, lambda record: record.update(erasable=SALTED, erased={"actor_id": ERASED}))
    signed_anew(folder)
    status, printed = checked(folder)
    assert (status, "the log has commitments" in printed) == (4, False), "without its original nothing shows that"
    assert "that 1 members were erased under GDPR Art. 17(1)(b) on 2026-08-18" in parts(printed)["Stated"]


ORACLES = ("data.user.email:ann@example.org", "-data.user.email:x", "ip:192.0.2.7", "data.user.email:a data.kept:1.5")


@pytest.mark.parametrize("text", ORACLES)
def test_nobody_asks_by_what_is_redacted_for_the_answer_would_say_it(rules: Any, text: str) -> None:
    kind = f"redaction.t{secrets.token_hex(4)}"
    names = [rules(place, event_type=kind).name for place in ("data.user", "actor_ip")]
    word, exporter = sealed(1, event_type=kind, event_data=WHO, actor_ip="192.0.2.7"), Sender("export")
    query = f"correlation:{word} {text}"
    for answer in (
        exporter.post({"q": query}, path=EXPORTS),
        exporter.post({"q": query, "sample": 1}, path=EXPORTS),
        exporter.get("/api/v1/audit/export", q=query),
        exporter.post({"q": query}, path="/api/v1/audit/statements"),
    ):
        assert answer.status_code == 400, answer.content
        refusal = answer.json()["field_errors"]["q"]
        assert any(name in refusal for name in names)
        assert "ann@example.org" not in refusal
    assert exporter.post({"q": f"{query} type:other.kind"}, path=EXPORTS).status_code == 202
    officer = Sender("export", "unredacted")
    assert officer.post({"q": query, "unredacted": True}, path=EXPORTS).status_code == 202
    assert officer.post({"q": query}, path="/api/v1/audit/statements").status_code == 201


@pytest.mark.parametrize("text", ["alice", "-alice", "outcome:failure ali*"])
def test_a_word_of_no_field_asks_by_each_field_that_it_is_looked_for_in(text: str) -> None:
    query = grammar.parse(text)
    for place in ("actor_id", "resource_id", "correlation_id"):
        with pytest.raises(Invalid, match=f"{place}, where words without a field are looked for"):
            redaction.refuse(query, [msgspec.to_builtins(rule(path=place))])
    redaction.refuse(query, [msgspec.to_builtins(rule(path=place)) for place in ("actor_ip", "data.**.email")])


def test_without_redaction_takes_a_right_of_its_own(rules: Any) -> None:
    sealed(1)
    with pytest.raises(Invalid, match="needs a right of its own"):
        export.request(ME, query="outcome:failure", unredacted=True)
    officer = Requester(f"a-{secrets.token_hex(4)}", may_unredacted=True)
    bundle = build.resume(export.request(officer, query=f"correlation:{sealed(1)}", unredacted=True))
    assert bundle.manifest["unredacted"] is True
    asked = Record.objects.get(correlation_id=f"export-{bundle.pk}", event_type="audit.export.asked")
    assert asked.event_data["unredacted"] is True
    with pytest.raises(Invalid, match="may not have that any more"):
        export.fetch(bundle, officer._replace(may_unredacted=False), bundle.name)


def test_a_key_gets_bundles_without_redaction_with_the_scope_for_it() -> None:
    word = sealed(1)
    body = {"q": f"correlation:{word}", "unredacted": True}
    refused = Sender("export").post(body, path=EXPORTS)
    assert refused.status_code == 400
    assert "a right of its own" in refused.json()["field_errors"]["unredacted"]
    assert Sender("export", "unredacted").post(body, path=EXPORTS).status_code == 202
