"""A range with purged leaves is a bundle: each such leaf stands under a certificate that is signed and in the log."""

import base64
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.archive import check, create, read, span
from audit.errors import Invalid
from audit.evidence import build, export, statements
from audit.ledger import purged as purged_ledger
from audit.ledger import reader
from audit.models import ArchivedRecord, Export, Record
from audit.retention import purge
from tests.audit.evidence import test_statements as of_statements
from tests.audit.evidence.conftest import ME, PINNED, lines_of, made, path, put, sealed, signed_anew, unpacked
from tests.audit.retention.conftest import BEN, aged, ago, approved, here, seal, short
from tests.auditor import parts, verify

pytestmark = pytest.mark.slow

FIRST, COUNT = 600, 12
"""The scene has 600 sealed records; those that are looked at follow them."""


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Any) -> Iterator[None]:
    yield


def purged(count: int = COUNT, keep: int = 3) -> Any:
    """The plan of a purge of so many leaves: the record of each `keep`th, counted from the second, stays."""
    category = short()
    old = [aged(ago(40), **({} if n % keep == 1 else {"event_category": category})) for n in range(count)]
    plan = approved()
    purge.run(plan, by=BEN)
    seal()
    assert len(here(old)) == len([n for n in range(count) if n % keep == 1])
    return plan


def of_purged(**asked: Any) -> Export:
    """A bundle of a range in which four records are here and eight were purged."""
    purged()
    return made(**{"first": FIRST, "last": FIRST + COUNT} | asked)


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


def write(folder: Path, name: str, found: list[dict[str, Any]]) -> None:
    (folder / name).write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in found))


def test_a_range_with_purged_leaves_is_proved_whole_and_says_so(checked: Any) -> None:
    bundle = of_purged(with_csv=True)
    assert (bundle.records, bundle.purged) == (4, 8)
    status, printed = checked(path(bundle))
    assert status == 0, printed
    said = parts(printed)
    assert (
        "these are all leaves from 600 to 611: no record of the range is left out but the 8 that were purged\n"
        in (said["Checked"])
    )
    assert "8 leaves have no record any more: purged (" in said["Checked"]
    assert "that the records that were purged were due and held by nobody\n" in said["Stated"]
    with zipfile.ZipFile(path(bundle)) as whole:
        manifest = json.loads(whole.read("manifest.json"))
        assert (manifest["evidence"], manifest["records"], manifest["purged"]) == ("auditsite/evidence/v2", 4, 8)
        assert len(whole.read("purged-0001.jsonl").splitlines()) == 8


def test_a_bundle_of_before_a_purge_verifies_after_it_as_before(checked: Any) -> None:
    category = short()
    for _ in range(3):
        aged(ago(40), event_category=category)
    seal()
    before = made(first=FIRST, last=FIRST + 3)
    printed = checked(path(before))
    assert printed[0] == 0
    purge.run(approved(), by=BEN)
    assert checked(path(before)) == printed
    with zipfile.ZipFile(path(before)) as whole:
        assert b'"evidence": "auditsite/evidence/v1"' in whole.read("manifest.json")


@pytest.mark.usefixtures("small_volumes")
def test_volumes_of_purged_leaves_alone_and_of_both_are_one_range(checked: Any) -> None:
    purged(14, keep=7)  # the records of leaves 1 and 8: the third volume has none
    bundle = made(first=FIRST, last=FIRST + 14, with_csv=True)
    assert [(volume["count"], volume.get("purged_count")) for volume in bundle.volumes] == [(1, 4), (1, 4), (0, 4)]
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert "from 600 to 613: no record of the range is left out but the 12 that were purged" in printed


def test_a_range_of_purged_leaves_alone_is_not_called_verified(checked: Any) -> None:
    purged(2, keep=5)
    status, printed = checked(path(made(first=FIRST, last=FIRST + 1)))
    assert status == 3
    assert "NOT COVERED  the bundle holds no record: all of its leaves were purged\n" in printed


def test_a_sample_of_a_range_draws_purged_leaves_too(checked: Any) -> None:
    bundle = of_purged(sample=6, seed="20261128")
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert bundle.records + bundle.purged == 6
    assert bundle.purged > 0
    assert "these are what the seed draws of the leaves 600 to 611" in printed


def test_a_redacted_range_names_purged_leaves_and_shows_the_certificate_whole(checked: Any, rules: Any) -> None:
    purged()
    rules("actor_id")
    bundle = made(first=FIRST, last=FIRST + COUNT)
    status, printed = checked(path(bundle))
    assert (status, bundle.purged) == (4, 8), printed
    assert "place, digest and times of 4 redacted records" in printed


def test_a_query_finds_what_is_here_and_its_bundle_is_as_before(checked: Any) -> None:
    purged()
    bundle = made(query="correlation:rr-attacked-1")
    assert bundle.purged == 0
    status, printed = checked(path(bundle))
    assert (status, "purged" in printed) == (0, False)


def test_what_was_received_in_a_time_counts_the_records_that_are_here(checked: Any) -> None:
    purged()
    bundle = made(received=(ago(41).isoformat(), ago(39).isoformat()))
    assert bundle.received is not None
    assert (bundle.received["records"], bundle.first, bundle.last) == (4, FIRST + 1, FIRST + 11)
    status, printed = checked(path(bundle))
    assert status == 0, printed


def test_a_range_whose_purge_has_no_certificate_yet_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "certify", lambda *args, **options: None)
    plan = purged()
    with pytest.raises(Invalid, match=f"the purge {plan.pk} has no certificate yet"):
        export.request(ME, first=FIRST, last=FIRST + COUNT)
    assert export.request(ME, first=FIRST - 5, last=FIRST).state == "pending"


# --- A purge beside a build ---


def due(**changes: Any) -> list[Any]:
    """Three records that are due, sealed."""
    category = short()
    ids = [aged(ago(40), event_category=category, **changes) for _ in range(3)]
    seal()
    return ids


def test_what_is_purged_after_the_request_of_a_range_is_purged_in_its_bundle(checked: Any) -> None:
    due()
    asked = export.request(ME, first=FIRST - 1, last=FIRST + 3)
    purge.run(approved(), by=BEN)
    seal()
    bundle = build.resume(asked)
    assert (bundle.state, bundle.records, bundle.purged) == ("ready", 1, 3)
    assert checked(path(bundle))[0] == 0


def test_a_bundle_of_a_query_whose_records_are_purged_meanwhile_has_to_be_asked_for_anew() -> None:
    due(correlation_id="rr-gone")
    asked = build.resume(export.request(ME, query="correlation:rr-gone"), seconds=0)
    assert asked.state == "running"  # what matches is found, and none of it is read
    purge.run(approved(), by=BEN)
    seal()
    asked = build.resume(asked)
    assert (asked.state, "removed records that matched" in asked.error) == ("failed", True), asked.error


def test_a_bundle_of_a_time_whose_records_are_purged_meanwhile_has_to_be_asked_for_anew() -> None:
    due()
    asked = export.request(ME, received=(ago(41).isoformat(), ago(39).isoformat()))
    purge.run(approved(), by=BEN)
    seal()
    asked = build.resume(asked)
    assert (asked.state, "removed records of that time" in asked.error) == ("failed", True), asked.error


def test_a_record_that_goes_while_it_is_read_is_not_called_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    due()
    asked = export.request(ME, first=FIRST, last=FIRST + 3)
    purge.run(approved(), by=BEN)
    seal()
    first, truly = iter([True]), purged_ledger.plans_at
    monkeypatch.setattr(purged_ledger, "plans_at", lambda indexes: {} if next(first, False) else truly(indexes))
    failed = build.resume(asked)
    assert (failed.state, "while they were read" in failed.error) == ("failed", True), failed.error
    assert export.reopen(failed, ME)
    assert build.resume(failed).state == "ready"


def test_an_archive_of_a_range_with_purged_leaves_is_proved_and_read(tmp_path: Path) -> None:
    purged()
    made_of = span.read_span(str(FIRST), str(FIRST + COUNT))
    archive = create.resume(create.create(ME, tmp_path / "archive", made_of), ME)
    result = check.check(ME, Path(archive.folder))
    assert (result.verdict, result.records, result.faults) == ("VERIFIED", 4, [])
    read.read(ME, Path(archive.folder))
    assert ArchivedRecord.objects.filter(archive=archive).count() == 4


def test_a_statement_is_not_covered_by_a_range_in_which_a_record_was_purged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    purged()
    statement = statements.make(of_statements.requester(), of_statements.nobody())
    file = tmp_path / "statement.txt"
    file.write_text(of_statements.text_of(statement), encoding="utf-8")
    assert verify.main(["statement", str(file), "--range", of_statements.range_of(statement), *PINNED]) == 3
    assert "the record of leaf 600 was purged: nothing shows whether it matched" in capsys.readouterr().out


def test_ranges_that_a_certificate_does_not_name_are_in_the_bundle(
    checked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "MAX_NAMED", 1)
    folder = unpacked(of_purged(), tmp_path / "bundle")
    [ranges] = folder.glob("purge-*.txt")
    assert checked(folder)[0] == 0
    body = ranges.read_text()
    ranges.write_text(body.replace("600 601\n", "600 602\n"))
    signed_anew(folder)
    status, printed = checked(folder)
    assert (status, "these ranges are not those that it was signed for" in printed) == (1, True), printed
    ranges.write_text("all of them\n")
    signed_anew(folder)
    status, printed = checked(folder)
    assert (status, "its ranges are not lines of two numbers" in printed) == (1, True), printed
    signed_anew(folder, lambda manifest: manifest["purges"][0].update(ranges=None))
    status, printed = checked(folder)
    assert (status, "it names not all of its ranges, and they are not in the bundle" in printed) == (1, True), printed


def without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    """The record of a line of a bundle, as it was sealed."""
    return {
        name: value
        for name, value in row.items()
        if name != "leaf_index" and (value is not None or name == "parked_at")
    }


def hidden(folder: Path) -> None:
    """A record is taken out, and its leaf is called purged, with its right hash."""
    gone = json.loads(lines_of(folder)[1])
    put(folder, [line for place, line in enumerate(lines_of(folder)) if place != 1])
    leaf = base64.b64encode(verify.leaf_of(without_nothing(gone))).decode()
    line = {"leaf_index": gone["leaf_index"], "leaf_hash": leaf}
    found = rows(folder, "purged-0001.jsonl")
    found.append(line | {"certificate": found[0]["certificate"]})
    write(folder, "purged-0001.jsonl", sorted(found, key=lambda row: int(row["leaf_index"])))


def in_certificate(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        found = rows(folder, "purges.jsonl")
        change(found[0])
        write(folder, "purges.jsonl", found)

    return changed


def in_purged(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        found = rows(folder, "purged-0001.jsonl")
        change(found)
        write(folder, "purged-0001.jsonl", found)

    return changed


def doubled(folder: Path) -> None:
    """The line of a purged leaf is there beside a record that claims its place."""
    record = json.loads(lines_of(folder)[0])
    extra = json.dumps(record | {"leaf_index": FIRST}).encode() + b"\n"
    put(folder, [extra, *lines_of(folder)])


def another_record(row: dict[str, Any]) -> None:
    row["record"]["event_type"] = "audit.purge.begun"


TAMPERINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a record is hidden as purged": (hidden, "which does not cover it"),
    "a certificate that is not there": (
        in_purged(lambda found: found[0].update(certificate="01900000-0000-7000-8000-000000000001")),
        "which is not in the bundle",
    ),
    "no certificate at all": (lambda folder: (folder / "purges.jsonl").write_bytes(b""), "which is not in the bundle"),
    "a record and a purged line of one leaf": (doubled, "a record is out of its place, or twice"),
    "a purged line left out": (in_purged(lambda found: found.pop(3)), "a record of the range is left out"),
    "a purged line twice": (in_purged(lambda found: found.insert(2, found[2])), "out of its place, or twice"),
    "two purged lines swapped": (in_purged(lambda found: found.insert(1, found.pop(4))), "out of its place, or twice"),
    "another hash": (
        in_purged(lambda found: found[0].update(leaf_hash=found[1]["leaf_hash"])),
        "do not lead to the signed root",
    ),
    "half a hash": (in_purged(lambda found: found[0].update(leaf_hash="AAAA")), "its hash is not 32 bytes long"),
    "a line without its leaf": (
        in_purged(lambda found: found[0].update(leaf_index="600")),
        "a line of purged-0001.jsonl does not name its leaf",
    ),
    "a certificate whose text was changed": (
        in_certificate(lambda row: row["record"]["event_data"].update(note=row["record"]["event_data"]["note"] + " ")),
        "its content was changed",
    ),
    "a certificate that is another record": (in_certificate(another_record), "its content was changed"),
}


@pytest.mark.parametrize("signs", [False, True], ids=["a stranger", "an insider"])
@pytest.mark.parametrize(("tamper", "words"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_purged_leaves_that_were_tampered_with_are_refused(
    tmp_path: Path, checked: Any, tamper: Any, words: str, signs: bool
) -> None:
    folder = unpacked(of_purged(), tmp_path / "bundle")
    tamper(folder)
    if signs:
        signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1, printed
    assert words in printed
    assert printed.endswith("VERDICT: ALTERED\n")


def test_a_sealed_record_of_another_type_is_no_certificate(tmp_path: Path, checked: Any) -> None:
    """Whoever has the key of receipts can put any sealed record in its place."""
    purged()
    bundle = made(first=FIRST, last=FIRST + COUNT)
    other = made(query="type:audit.purge.approved")
    folder, beside = unpacked(bundle, tmp_path / "bundle"), unpacked(other, tmp_path / "other")
    record = without_nothing(rows(beside, "records-0001.jsonl")[0])
    proof = reader.evidence(record["event_id"]).proof.text
    write(folder, "purges.jsonl", [{"proof": proof, "record": record}])
    signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert "it is no record of the type audit.purge.completed" in printed, printed


def test_a_record_of_a_writer_is_no_certificate_whatever_it_holds(tmp_path: Path, checked: Any) -> None:
    """Any writer may send an event of the type: with the key of receipts an insider hid living records so."""
    folder = unpacked(of_purged(), tmp_path / "bundle")
    note = rows(folder, "purges.jsonl")[0]["record"]["event_data"]["note"]
    word = sealed(1, event_type="audit.purge.completed", event_data={"note": note})
    record = Record.objects.get(correlation_id=word)
    proof = reader.evidence(record.pk).proof.text
    write(folder, "purges.jsonl", [{"proof": proof, "record": record.as_json() | {"state": "sealed"}}])
    in_purged(lambda found: [row.update(certificate=str(record.pk)) for row in found])(folder)
    signed_anew(folder, lambda manifest: manifest["purges"][0].update(certificate=str(record.pk)))
    status, printed = checked(folder)
    assert (status, "it is a record of the writer 'tests', not of the store" in printed) == (1, True), printed


def test_a_manifest_that_counts_other_purged_leaves_is_refused(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(of_purged(), tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest.update(purged=7))
    status, printed = checked(folder)
    assert (status, "8 leaves of the bundle are purged, the manifest names 7" in printed) == (1, True), printed


def test_a_bundle_of_a_query_has_no_purged_leaves(tmp_path: Path, checked: Any) -> None:
    """As an answer to a query a purged leaf shows nothing: nobody can see whether its record matched."""
    folder = unpacked(of_purged(), tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest.update(kind="query", range=None))
    status, printed = checked(folder)
    assert (status, "a bundle of a query has no purged leaves" in printed) == (1, True), printed


def test_a_bundle_without_the_second_version_has_no_certificates(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(of_purged(), tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest.update(evidence="auditsite/evidence/v1"))
    status, printed = checked(folder)
    assert (status, "which is not in the bundle" in printed) == (1, True), printed


def test_a_verifier_of_before_says_that_it_cannot_use_it_and_what_can(tmp_path: Path) -> None:
    """It reads the keys first, and takes each line for a key but for comments."""
    folder = unpacked(of_purged(), tmp_path / "bundle")
    first, *keys = (folder / "keys.txt").read_text().splitlines()
    assert first == "auditsite/evidence/v2: take the verify.py that is in this bundle, or a newer one"
    with pytest.raises(verify.Unusable, match=first):
        verify.read_key(first, (1,))
    assert all(verify.read_key(key, (1,)) for key in keys)
    shutil.rmtree(folder)
