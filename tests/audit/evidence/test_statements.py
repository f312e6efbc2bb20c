"""Signed statements: none of the records matches, of all that were sealed, and anybody asks each of them again."""

import base64
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.errors import Invalid
from audit.evidence import build, statements
from audit.evidence.request import Requester
from audit.formats import note
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import heads, reader, seal
from audit.models import Record
from audit.visibility import Scope
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, an_event
from tests.audit.evidence.conftest import PINNED, made, path, sealed
from tests.auditor import W1, parts, verify
from tests.servers import RECEIPT_KEY, SEAL_KEY

STATEMENTS = "/api/v1/audit/statements"
Checked = Callable[..., tuple[int, str]]


def requester() -> Requester:
    return Requester(f"a-{secrets.token_hex(4)}", may_unredacted=True)


def nobody() -> str:
    return f"type:role.grant actor:nobody-{secrets.token_hex(6)}"


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Checked:
    """What verify.py says of a statement, perhaps with a bundle of the leaves that it is about."""

    def checked(text: str, *arguments: str) -> tuple[int, str]:
        file = tmp_path / "statement.txt"
        file.write_text(text, encoding="utf-8")
        status = verify.main(["statement", str(file), *PINNED, *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


def text_of(statement: Record) -> str:
    return str(statement.event_data["note"])


def said_anew(statement: Record, change: Callable[[dict[str, Any]], Any]) -> str:
    """What an insider with the key of receipts can sign instead."""
    header, origin, line, *_ = text_of(statement).split("\n")
    facts = json.loads(line)
    change(facts)
    text = f"{header}\n{origin}\n{json.dumps(facts, sort_keys=True)}\n"
    return note.join(text, [RECEIPT_KEY.sign(text)])


def range_of(statement: Record) -> str:
    bundle = build.resume(statements.request_bundle(statement, requester()))
    assert bundle.state == "ready", bundle.error
    return str(path(bundle))


def test_that_none_matches_is_said_signed_and_recorded(checked: Checked) -> None:
    sealed(3)
    statement = statements.make(requester(), nobody())
    facts = statement.event_data
    assert (statement.event_type, facts["found"], facts["records"], facts["first"]) == (
        "audit.statement.made",
        0,
        [],
        0,
    )
    status, printed = checked(text_of(statement))
    assert (status, printed.endswith("VERDICT: SIGNED\n")) == (0, True), printed
    assert "records that match: none of the" in parts(printed)["Stated"]
    assert "give a bundle of these leaves with --range" in parts(printed)["Stated"]


def test_with_the_leaves_that_it_is_about_it_is_shown(elsewhere: Scene, checked: Checked) -> None:
    sealed(3)
    statement = statements.make(requester(), nobody())
    sealed(2)
    status, printed = checked(text_of(statement), "--range", range_of(statement))
    assert status == 0, printed
    assert "records that match: none of the" in parts(printed)["Checked"]
    assert printed.endswith("VERDICT: VERIFIED\n")
    status, printed = checked(text_of(statement), "--range", str(path(made(query=""))))
    assert status == 0, printed  # a later bundle of everything shows it as well, under its own checkpoint


def test_what_matches_is_counted_and_named(elsewhere: Scene, checked: Checked) -> None:
    word = sealed(3)
    statement = statements.make(requester(), f"correlation:{word}")
    assert statement.event_data["found"] == 3
    ids = [record["event_id"] for record in statement.event_data["records"]]
    assert set(ids) == {str(record.pk) for record in Record.objects.filter(correlation_id=word)}
    bundle = range_of(statement)
    assert checked(text_of(statement), "--range", bundle)[0] == 0
    for change, words in (
        (lambda facts: facts.update(found=0, records=[]), "3 of the"),
        (lambda facts: facts["records"][0].update(leaf=-1), "other records match than the statement names"),
        (lambda facts: facts["records"][0].update(event_id=ids[1]), "other records match than the statement names"),
        (lambda facts: facts["records"].pop(), "other records match than the statement names"),
    ):
        status, printed = checked(said_anew(statement, change), "--range", bundle)
        assert status == 1
        assert words in printed


def test_none_from_an_address_is_said_of_all_its_spellings(elsewhere: Scene, checked: Checked) -> None:
    network = f"2001:db8:{secrets.randbelow(65535) + 1:x}"
    for address in (f"{network.upper()}::0:7", f"{network}:0:0::0.0.0.7", f"{network}::70", "::ffff:198.51.100.77"):
        sealed(1, actor_ip=address)
    statement = statements.make(requester(), f"ip:{network}::7")
    assert statement.event_data["found"] == 2
    bundle = range_of(statement)
    status, printed = checked(text_of(statement), "--range", bundle)
    assert status == 0, printed
    for text, said in (
        (f"ip:{network}::8", "none"),
        (f"ip:{network}:*", "3"),
        (f"-ip:{network}:* ip:{network}::7", "none"),
    ):
        status, printed = checked(text_of(statements.make(requester(), text)), "--range", bundle)
        assert (status, f"records that match: {said} of the" in parts(printed)["Checked"]) == (0, True), printed
    status, printed = checked(
        said_anew(statement, lambda facts: facts["terms"][0].update({"is": [f"{network}:0:0:0:0:70"]})),
        "--range",
        bundle,
    )
    assert status == 1, printed
    assert "1 of the" in printed


def test_a_record_of_the_window_that_was_sealed_late_is_counted() -> None:
    word = f"late-{secrets.token_hex(6)}"
    long_ago = an_event(event_timestamp="2024-01-01T10:00:00Z", correlation_id=word)
    query = f"correlation:{word} after:2024-01-01 before:2024-01-02"
    sealed(1)
    assert statements.make(requester(), query).event_data["found"] == 0
    store([accept(long_ago, writer="tests")], timeout_s=20)
    seal.Sealer().once()
    assert statements.make(requester(), query).event_data["found"] == 1


def test_leaves_sealed_before_the_window_are_left_out_with_a_signed_reason(elsewhere: Scene, checked: Checked) -> None:
    sealed(2)
    before = reader.signed_head()
    ahead = before.created_at.astimezone(UTC) + timedelta(hours=1, minutes=5)
    sealed(2)
    statement = statements.make(requester(), f"{nobody()} after:{ahead.isoformat()}")
    assert statement.event_data["first"] >= before.size
    status, printed = checked(text_of(statement), "--range", range_of(statement))
    assert status == 0, printed
    assert "were sealed an hour or more before the time that is asked for" in printed
    too_early = (ahead - timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    anew = said_anew(statement, lambda facts: facts["terms"][-1].update({"from": too_early}))
    assert "less than an hour before" in checked(anew)[1]
    anew = said_anew(statement, lambda facts: facts["leaves"].update(first=facts["leaves"]["first"] + 1))
    status, printed = checked(anew)
    assert status == 1
    assert "nothing shows why it begins at leaf" in printed


EQUALS = {"field": "actor_id", "equals": ["bob"], "begins": [], "negated": False}
NONE_OF_THE_STORE: list[dict[str, Any]] = [
    {"field": "event_timestamp", "from": "20260101T000000Z"},
    {"field": "event_timestamp", "before": "2026-01-01T00:00:00Z"},
    {"field": "event_timestamp", "until": "2026-02-31T00:00:00.000000Z"},
    {"field": "event_timestamp", "from": "2026-08-01T00:00:00.000000Z", "negated": True},
    {"field": "event_timestamp", "equals": ["2026"], "begins": [], "negated": False},
    {"field": "actor_id", "from": "2026-08-01T00:00:00.000000Z"},
    EQUALS | {"from": "2026-08-01T00:00:00.000000Z"},
    EQUALS | {"is": ["192.0.2.7"]},
    EQUALS | {"field": "user"},
    EQUALS | {"negated": "no"},
    EQUALS | {"path": ["name"]},
    {"field": "actor_ip", "is": ["192.0.2.7"], "is_not": ["192.0.2.8"]},
]


def test_a_term_that_says_one_thing_and_compares_another_is_none_of_the_store(checked: Checked) -> None:
    """Times in another form are in another order as text; what is not looked at excused the leaves before the first."""
    sealed(1)
    statement = statements.make(requester(), nobody())
    for term in NONE_OF_THE_STORE:
        anew = said_anew(statement, lambda facts, term=term: facts["terms"].append(term))
        status, printed = checked(anew)
        assert status == 2, (term, printed)
        assert "is none that the store writes" in printed or "is not a time like" in printed, printed


def by_the_log(text: str, moment: datetime) -> str:
    """What the log's key can sign of a head: that it is of any moment."""
    return note.join(text, heads.signatures(SEAL_KEY, text, moment))


def cosigned(signed: str, moment: datetime) -> str:
    return signed + W1.cosign(note.split(signed)[0], int(moment.timestamp()))


def test_a_head_of_before_the_window_counts_as_early_as_witnesses_say_or_all_leaves_are_asked(
    elsewhere: Scene, checked: Checked
) -> None:
    word, witness = sealed(1), ("--witness", W1.vkey(4))
    early, now, head = datetime(2026, 7, 1, tzinfo=UTC), datetime.now(UTC), reader.signed_head()
    text, _ = note.split(head.note)
    sealed(2)
    statement = statements.make(requester(), f"correlation:{word} after:2026-08-01")
    rest = str(path(made(first=head.size, last=statement.event_data["last"])))
    all_leaves = str(path(made(first=0, last=statement.event_data["last"])))

    def said(before: str) -> str:
        """That none matches of the leaves behind a head that has the one that does, and is called older than it is."""

        def change(facts: dict[str, Any]) -> None:
            facts |= {"found": 0, "records": [], "before": before, "checkpoint": cosigned(facts["checkpoint"], now)}
            facts["leaves"]["first"] = head.size

        return said_anew(statement, change)

    signed, few = by_the_log(text, early), "fewer than the 1 witnesses that you ask for had cosigned the checkpoint"
    for before in (signed, cosigned(signed, now)):
        status, printed = checked(said(before), "--range", rest, *witness)
        assert (status, few in printed) == (3, True), printed
    assert checked(said(cosigned(signed, early)), "--range", rest, *witness)[0] == 0
    status, printed = checked(said(signed), "--range", all_leaves, *witness)
    assert (status, "matches, which the statement is not about" in printed) == (1, True), printed
    lines = text.split("\n")
    other = by_the_log("\n".join([*lines[:2], base64.b64encode(bytes(32)).decode(), *lines[3:]]), early)
    status, printed = checked(said(other), "--range", all_leaves)
    assert (status, "is not of the log that the range is of" in printed) == (1, True), printed


def test_with_all_leaves_no_witness_is_asked_of_the_head_before_the_window(elsewhere: Scene, checked: Checked) -> None:
    ahead = reader.signed_head().created_at.astimezone(UTC) + timedelta(hours=1, minutes=5)
    sealed(2)
    statement = statements.make(requester(), f"{nobody()} after:{ahead.isoformat()}")
    assert statement.event_data["first"] > 0
    now, all_leaves = datetime.now(UTC), str(path(made(first=0, last=statement.event_data["last"])))
    anew = said_anew(statement, lambda facts: facts.update(checkpoint=cosigned(facts["checkpoint"], now)))
    status, printed = checked(anew, "--range", all_leaves, "--witness", W1.vkey(4))
    assert status == 0, printed


def test_a_statement_that_was_changed_or_signed_by_another_is_refused(checked: Checked) -> None:
    sealed(1)
    statement = statements.make(requester(), nobody())
    status, printed = checked(text_of(statement).replace('"found": 0', '"found": 1'))
    assert status == 1
    assert "does not hold" in printed
    stranger = note.Signer(RECEIPT_KEY.name, secrets.token_bytes(32))
    text, _ = note.split(text_of(statement))
    status, printed = checked(note.join(text, [stranger.sign(text)]))
    assert status == 3
    assert f"signed by a key of this origin that you did not give: {RECEIPT_KEY.name}+" in printed
    older = said_anew(statement, lambda facts: facts["leaves"].update(last=facts["leaves"]["last"] - 1))
    assert "its checkpoint covers" in checked(older)[1]
    assert checked("nothing\n")[0] == 2


def test_a_bundle_that_has_not_all_of_the_leaves_shows_nothing(checked: Checked) -> None:
    sealed(3)
    statement = statements.make(requester(), nobody())
    status, printed = checked(text_of(statement), "--range", str(path(made(first=1, last=3))))
    assert status == 3
    assert "has not all leaves" in printed


@pytest.mark.parametrize(("text", "words"), [("", "is required"), ("nope:1", "there is no field"), ("a\x00", "U+0000")])
def test_what_cannot_be_stated_is_refused(text: str, words: str) -> None:
    sealed(1)
    with pytest.raises(Invalid) as refused:
        statements.make(requester(), text)
    assert words in refused.value.errors["q"]


def test_who_sees_a_part_of_the_records_gets_no_statement_about_all() -> None:
    with pytest.raises(Invalid, match="you may see those of some"):
        statements.make(requester()._replace(sight=(Scope(("others",), ()),)), nobody())


def test_a_statement_is_made_over_http_for_the_one_who_asked_alone() -> None:
    sealed(2)
    exporter, query = Sender("export"), nobody()
    answer = exporter.post({"q": query}, path=STATEMENTS)
    assert answer.status_code == 201, answer.content
    statement = answer.json()
    assert (statement["q"], statement["found"]) == (query, 0)
    place = f"{STATEMENTS}/{statement['statement_id']}"
    assert exporter.get(place).json() == statement
    begun = exporter.post({}, path=f"{place}/bundle")
    assert begun.status_code == 202
    assert (begun.json()["first"], begun.json()["last"]) == (statement["first"], statement["last"])
    assert Sender("export").get(place).status_code == 404
    assert Sender("read").post({"q": query}, path=STATEMENTS).status_code == 403
    for body in ({}, [], {"q": 1}, {"q": ""}, {"q": "a\x00"}, {"q": query, "x": 1}):
        assert exporter.post(body, path=STATEMENTS).status_code == 400


def test_a_statement_of_a_person_is_not_given_to_a_service_that_is_called_the_same() -> None:
    sealed(1)
    namesake = Sender("export")
    statement = statements.make(Requester(namesake.name), nobody())
    number = statement.correlation_id.removeprefix("statement-")
    assert namesake.get(f"{STATEMENTS}/{number}").status_code == 404
    assert namesake.post({}, path=f"{STATEMENTS}/{number}/bundle").status_code == 404


def test_the_command_prints_what_the_verifier_reads(checked: Checked) -> None:
    sealed(1)
    out, errors = StringIO(), StringIO()
    call_command("statement", nobody(), stdout=out, stderr=errors)
    assert checked(out.getvalue())[0] == 0
    assert "manage.py export --range 0" in errors.getvalue()


def test_a_time_of_the_future_is_no_reason_to_leave_leaves_out_that_match() -> None:
    word = sealed(1)
    statement = statements.make(
        requester(), f"correlation:{word} before:{(datetime.now(UTC) + timedelta(days=1)).isoformat()}"
    )
    assert (statement.event_data["found"], statement.event_data["first"]) == (1, 0)
