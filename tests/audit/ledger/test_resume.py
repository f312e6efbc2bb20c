"""The log of a restored store goes on under a cross-link, by two people, and no name ever has two histories."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.errors import KeyMissing, LogDamaged, ResumeRefused
from audit.formats import crosslink, note
from audit.formats.note import TreeHead
from audit.ledger import anchor, heads, keys, outside, reader, resume, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.models import Checkpoint, Finding, LogCrossLink, LogResume, Record, Verification
from tests.attacks.scene import Scene
from tests.audit.conftest import send
from tests.audit.ledger.conftest import EARLY, WHOLE, go_on
from tests.servers import SEAL_KEY


def admit(scene: Scene, link: crosslink.CrossLink) -> None:
    """The witness' operator is told the new key."""
    scene._server.RequestHandlerClass.of._logs.append(link.continues)  # type: ignore[attr-defined]


def whole() -> Verification:
    return verify.verify()


@pytest.mark.parametrize("who", ["anchor", "witness"])
def test_the_sealer_signs_nothing_below_what_is_known_outside(restored: Scene, settings: Any, who: str) -> None:
    if who == "anchor":
        settings.SEAL_WITNESSES = []
    else:
        settings.SEAL_ANCHOR_FILE = None
    before = Checkpoint.objects.count()
    send(1)
    with pytest.raises(LogDamaged, match=f"{who if who == 'witness' else 'the end of the anchor'}.*of 600 records"):
        Sealer().once()
    assert Checkpoint.objects.count() == before


def test_a_head_of_a_restored_database_does_not_get_behind_the_later_one_in_the_anchor(
    restored: Scene, settings: Any
) -> None:
    """The sealer asks the end of the anchor: with an older head there it would sign a second history."""
    settings.SEAL_WITNESSES = []
    before = settings.SEAL_ANCHOR_FILE.read_bytes()
    head = heads.newest_checkpoint("default")
    assert head is not None and head.size == EARLY
    (complaint,) = Publisher().publish(head)
    assert f"The head of {EARLY} records is not anchored" in complaint and f"{WHOLE} records is known" in complaint
    assert settings.SEAL_ANCHOR_FILE.read_bytes() == before
    send(1)
    with pytest.raises(LogDamaged, match=f"of {WHOLE} records"):
        Sealer().once()


def test_the_sealer_signs_nothing_beside_what_is_known_outside(elsewhere: Scene, settings: Any, tmp_path: Path) -> None:
    """Of as many leaves, and with another root: as an old backup that grew past the anchor would have."""
    head = TreeHead(SEAL_KEY.name, EARLY, bytes(32))
    settings.SEAL_ANCHOR_FILE = tmp_path / "anchor"
    line = {"note": note.join(head.text, [SEAL_KEY.sign(head.text)])}
    settings.SEAL_ANCHOR_FILE.write_text(json.dumps(line) + "\n", encoding="utf-8")
    send(1)
    with pytest.raises(LogDamaged, match="has another root"):
        Sealer().once()


def test_a_witness_that_was_silent_at_first_stops_the_sealer_later(
    restored: Scene, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEAL_ANCHOR_FILE = None
    with monkeypatch.context() as patch:
        patch.setattr(outside.witnesses, "latest_of", _raise(OSError("away")))
        sealer = Sealer()
        send(1)
        head = sealer.once().checkpoint
        assert head is not None
    assert any("more than there are" in complaint for complaint in Publisher().publish(head))
    send(1)
    with pytest.raises(LogDamaged, match="witness"):
        sealer.once()


def _raise(error: Exception) -> Any:
    def act(*_: Any, **__: Any) -> Any:
        raise error

    return act


def test_the_log_goes_on_under_another_name_with_the_same_leaves(restored: Scene, key_files: Path) -> None:
    link = go_on()
    assert (link.restored.size, [head.size for head in link.known]) == (EARLY, [WHOLE])
    assert (link.asked_by, link.approved_by, link.reason) == ("olga", "carla", "the disk burned")
    assert link.continues.name == f"{SEAL_KEY.name}/resumed-1" == keys.load().origin
    send(5)
    sealed = Sealer().once(from_start=True)
    assert sealed.checkpoint is not None
    text, _ = note.verify(sealed.checkpoint.note, keys.load().all_verifiers)
    head = TreeHead.parse(text)
    assert head.origin == link.continues.name and head.size > EARLY
    assert reader.root(EARLY) == link.restored.root
    newest = Checkpoint.objects.get(number=LogCrossLink.objects.get().checkpoint)
    assert (newest.size, bytes(newest.root)) == (EARLY, link.restored.root)


def test_a_key_that_was_prepared_under_the_old_name_takes_no_log_on(
    restored: Scene, key_files: Path, settings: Any
) -> None:
    """Under one name there would be two histories."""
    public = settings.SEAL_PUBLIC_KEYS_FILE
    prepared = keys.prepare(key_files, public, SEAL_KEY)
    row = resume.request("the disk burned", by="olga")
    resume.decide(row, approve=True, by="carla")
    with pytest.raises(KeyMissing, match=re.escape(f"Remove {key_files}.next, and the line {prepared} of {public}")):
        resume.resume()
    assert not LogCrossLink.objects.exists()
    key_files.with_name("seal_key.next").unlink()
    public.write_text(f"{SEAL_KEY}\n", encoding="utf-8")
    resume.resume()
    assert keys.load().origin == f"{SEAL_KEY.name}/resumed-1"


def test_a_sealer_that_ran_all_along_goes_on_after_the_resume_and_not_before(
    elsewhere: Scene, key_files: Path, settings: Any
) -> None:
    """It remembers what it signed, whoever else does not."""
    sealer = Sealer()
    assert sealer.once(sign_anyway=True).signed
    elsewhere.restore_early()
    with pytest.raises(LogDamaged, match="was signed and is gone"):
        sealer.once()
    settings.SEAL_ANCHOR_FILE = elsewhere.anchor
    go_on()
    send(1)
    sealed = sealer.once(from_start=True)
    assert sealed.signed and sealed.added == 3 + 1, "the records of the resume, and the event"


def test_the_log_is_verified_and_says_where_it_was_cut(restored: Scene) -> None:
    before = whole()
    assert before.verdict == "MISSING"
    link = go_on()
    admit(restored, link)
    send(50)
    sealed = Sealer().once(from_start=True).checkpoint
    assert sealed is not None and Publisher().publish(sealed) == []
    run = whole()
    findings = [(each.kind, each.detail) for each in Finding.objects.filter(run=run)]
    assert (run.verdict, findings) == ("VERIFIED", [])
    assert run.counts["cross-links"] == 1 and run.counts["heads that a cross-link cut off"] >= 2
    assert any("restored at 400 leaves" in text and "200 leaves" in text for text in run.not_covered)
    assert not Finding.objects.still_so().exists()
    assert run.counts["witnesses"] == 2


def test_witness_and_anchor_go_on_and_keep_what_they_had(restored: Scene, settings: Any) -> None:
    had = settings.SEAL_ANCHOR_FILE.read_bytes()
    link = go_on()
    send(1)
    head = Sealer().once(from_start=True).checkpoint
    assert head is not None
    (complaint,) = Publisher().publish(head)
    assert "404" in complaint  # nobody told the witness
    admit(restored, link)
    assert Publisher().publish(head) == []
    assert settings.SEAL_ANCHOR_FILE.read_bytes().startswith(had)
    last = anchor.last_anchored()
    assert last is not None and (last.origin, last.size) == (link.continues.name, head.size)
    lines = map(json.loads, settings.SEAL_ANCHOR_FILE.read_text(encoding="utf-8").splitlines())
    (line,) = [line for line in lines if "crosslink" in line]
    assert crosslink.read(line["crosslink"], [SEAL_KEY.verifier]) == link
    send(1)
    assert Sealer().once(from_start=True).signed


def test_a_publisher_that_ran_all_along_publishes_what_has_the_number_of_one_that_is_gone(
    elsewhere: Scene, key_files: Path, settings: Any
) -> None:
    settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_S = elsewhere.anchor, 0
    publisher = Publisher()
    gone = Checkpoint.objects.get(number=4)
    assert publisher.publish(gone) == []
    elsewhere.restore_early()
    link = go_on()
    head = Checkpoint.objects.get(number=4)
    assert publisher.publish(head) == []
    last = anchor.last_anchored()
    assert last is not None and (last.origin, last.size) == (link.continues.name, EARLY)
    assert settings.SEAL_ANCHOR_FILE.read_text(encoding="utf-8").count(link.continues.name + "\\n") == 2


def test_one_person_alone_resumes_nothing(restored: Scene) -> None:
    row = resume.request("the disk burned", by="olga")
    with pytest.raises(resume.NotYours):
        resume.decide(row, approve=True, by="olga")
    with pytest.raises(ResumeRefused, match="No request is approved"):
        resume.resume()
    with pytest.raises(ResumeRefused, match="open already"):
        resume.request("again", by="olga")
    resume.decide(row, approve=False, by="carla")
    with pytest.raises(ResumeRefused, match="declined already"):
        resume.decide(row, approve=True, by="anna")
    with pytest.raises(ResumeRefused, match="No request is approved"):
        resume.resume()
    assert not LogCrossLink.objects.exists()


@pytest.mark.parametrize(
    ("by", "refusal"), [("olga", "a second person has to"), ("carla", "No record says that carla")]
)
def test_an_approval_that_was_written_into_the_database_resumes_nothing(restored: Scene, by: str, refusal: str) -> None:
    """The application may update requests: it approves its own, or in the name of somebody who never did."""
    row = resume.request("the disk burned", by="olga")
    LogResume.objects.filter(pk=row.pk).update(decision="approved", decided_by=by)
    with pytest.raises(ResumeRefused, match=refusal):
        resume.resume()
    assert not LogCrossLink.objects.exists()


def test_each_step_is_a_record(restored: Scene) -> None:
    link = go_on()
    acts = Record.objects.filter(correlation_id="log-resume").order_by("stored_at")
    assert [(act.event_type, act.actor_id) for act in acts] == [
        ("audit.log.resume_asked", "olga"),
        ("audit.log.resume_approved", "carla"),
        ("audit.log.resumed", "olga"),
    ]
    last = acts.last()
    assert last is not None and str(link.continues) in last.event_data["crosslink"]


def test_a_log_that_nothing_is_ahead_of_is_not_resumed(elsewhere: Scene, settings: Any, key_files: Path) -> None:
    settings.SEAL_ANCHOR_FILE = elsewhere.anchor
    with pytest.raises(ResumeRefused, match="Nothing that anchor or witnesses have"):
        resume.request("no reason", by="olga")


def test_what_turns_up_after_the_request_has_to_be_asked_anew(restored: Scene, settings: Any) -> None:
    row = resume.request("the disk burned", by="olga")
    resume.decide(row, approve=True, by="carla")
    head = TreeHead(SEAL_KEY.name, WHOLE + 7, bytes(32))
    line = {"note": note.join(head.text, [SEAL_KEY.sign(head.text)])}
    with settings.SEAL_ANCHOR_FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(ResumeRefused, match="more than was known"):
        resume.resume()
    assert not LogCrossLink.objects.exists()


@pytest.mark.parametrize("after", ["the key that it made", "the cross-link", "the key", "the anchor"])
def test_a_resume_that_is_killed_goes_on(restored: Scene, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    row = resume.request("the disk burned", by="olga")
    resume.decide(row, approve=True, by="carla")
    place, name = {
        "the key that it made": (resume.crosslink, "sign"),
        "the cross-link": (resume.ledger_keys, "replace"),
        "the key": (resume.anchor, "anchor_crosslink"),
        "the anchor": (resume.trail, "add"),
    }[after]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, _raise(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            resume.resume()
    _, signed = resume.resume()
    assert LogCrossLink.objects.get().note == signed
    assert LogResume.objects.get().resumed_at is not None
    send(1)
    assert Sealer().once(from_start=True).signed
    assert whole().verdict == "VERIFIED"


@pytest.mark.parametrize("fault", ["more known", "signed after", "another tree"])
def test_a_head_of_the_old_name_that_the_cross_link_does_not_explain_is_a_finding(
    restored: Scene, settings: Any, fault: str
) -> None:
    link = go_on()
    settings.SEAL_WITNESSES = []
    size = {"more known": WHOLE + 7, "signed after": WHOLE - 1, "another tree": EARLY - 1}[fault]
    head = TreeHead(SEAL_KEY.name, size, bytes(32))
    moment = int(link.at.timestamp()) + (3600 if fault == "signed after" else -3600)
    line = {"note": note.join(head.text, [SEAL_KEY.sign(head.text), SEAL_KEY.cosign(head.text, moment)])}
    with settings.SEAL_ANCHOR_FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    verdict = {"more known": "MISSING", "signed after": "FORKED", "another tree": "FORKED"}[fault]
    assert whole().verdict == verdict


def test_a_store_that_is_restored_once_more_is_resumed_once_more(restored: Scene, key_files: Path) -> None:
    first = go_on()
    admit(restored, first)
    send(20)
    head = Sealer().once(from_start=True).checkpoint
    assert head is not None and Publisher().publish(head) == []
    restored.restore_early()
    send(1)
    with pytest.raises(LogDamaged, match="had been resumed"):
        Sealer().once()
    kinds = set(Finding.objects.filter(run=whole()).values_list("kind", flat=True))
    assert kinds <= {"MISSING", "FORKED"}, "what the backup has is as it was signed, under the name of then"
    second = go_on("it burned again")
    assert second.continues.name == f"{SEAL_KEY.name}/resumed-2"
    assert {known.origin: known.size for known in second.known} == {
        SEAL_KEY.name: WHOLE,
        first.continues.name: head.size,
    }
    admit(restored, second)
    newest = Sealer().once(from_start=True).checkpoint
    assert newest is not None and Publisher().publish(newest) == []
    run = whole()
    assert (run.verdict, [each.detail for each in Finding.objects.filter(run=run)]) == ("VERIFIED", [])


def test_a_cross_link_that_is_not_ours_is_not_believed(restored: Scene, settings: Any) -> None:
    go_on()
    settings.SEAL_PUBLIC_KEYS_FILE = None
    settings.SEAL_PUBLIC_KEYS = str(keys.load().verifiers[0])  # the key of before is not known
    assert whole().verdict in ("FORKED", "UNKNOWN")


def test_the_command_asks_waits_and_carries_out(restored: Scene, capsys: Any) -> None:
    call_command("log", "resume", "--reason", "the disk burned")
    assert "200 are gone" in (said := capsys.readouterr().out) and "A second person approves it" in said
    row = LogResume.objects.get()
    resume.decide(row, approve=True, by="carla")
    call_command("log", "resume")
    assert "auditsite/crosslink/v1" in capsys.readouterr().out
    call_command("log", "show")
    assert "reason the disk burned" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["", "two\nlines", "an escape \x1b"])
def test_a_reason_that_cannot_be_signed_is_refused_before_anything_is_asked(restored: Scene, reason: str) -> None:
    with pytest.raises(note.NoteError):
        resume.request(reason, by="olga")
    assert not LogResume.objects.exists()
