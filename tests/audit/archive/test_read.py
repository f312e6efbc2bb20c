"""What is read back from an archive is found again, apart from the records, and goes again."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import ProgrammingError, connections, transaction
from django.test import override_settings

from audit import visibility
from audit.archive import archived, check, read
from audit.errors import ArchiveUnusable, Immutable, Invalid
from audit.evidence.erasure import requests
from audit.models import Archive, ArchivedRecord, Leaf, Record, RedactionRule
from audit.operations import SQL
from audit.visibility import Scope, Viewer
from tests.audit.archive.conftest import SMALL_PARTS, begun, checked
from tests.audit.archive.conftest import archived as made_archive
from tests.audit.evidence.conftest import ME
from tests.audit.evidence.erasure.conftest import RULES, asked, person

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.fixture(scope="module")
def whole(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive of 12 records with a word of their own, which is read back: for tests that only look at it."""
    word, folder = f"w-{secrets.token_hex(4)}", tmp_path_factory.mktemp("archive")
    with override_settings(**SMALL_PARTS):
        archive = made_archive(folder, 12, actor_id=word, event_data={"deep": {"n": 1.5, "t": word}})
    read.read(ME, folder)
    yield archive
    read.forget(ME, archive)


def word_of(archive: Archive) -> str:
    return str(ArchivedRecord.objects.filter(archive=archive)[0].actor_id)


def test_what_was_read_back_is_what_was_stored(whole: Archive) -> None:
    copies = list(ArchivedRecord.objects.filter(archive=whole).order_by("leaf_index"))
    assert [copy.leaf_index for copy in copies] == [*range(whole.first, whole.last)]
    for copy in copies:
        record = Record.objects.get(pk=copy.pk)
        assert copy.as_json() == record.as_json()
        assert copy.digest_holds
        assert Leaf.objects.get(index=copy.leaf_index).record_id == record.pk


def test_of_what_can_be_erased_commitments_are_read_back_and_an_erasure_holds_for_them(tmp_path: Path) -> None:
    email = person()
    archive = made_archive(tmp_path, 3, erasing=RULES, event_data={"email": email, "n": 1.5}, actor_ip="192.0.2.7")
    read.read(ME, tmp_path)
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT r::text FROM audit_archived_record r WHERE archive_id = %s", [archive.pk])
            lines = [line for (line,) in cursor.fetchall()]
        assert len(lines) == 3 and not any(email in line or "192.0.2.7" in line for line in lines)
        assert all(copy.digest_holds for copy in ArchivedRecord.objects.filter(archive=archive))
        assert len(archived.find("", archive=archive.pk).rows) == 3
        assert seen(archive) == email

        request = requests.ask(asked(email), by="olga")
        requests.decide(request, approve=True, by="otto")
        requests.carry_out(request)
        assert seen(archive) == "$erasable"
        assert checked(tmp_path).verdict == "VERIFIED", "the archive is as it was, with the values"
    finally:
        read.forget(ME, archive)


def seen(archive: Archive) -> Any:
    shown = archived.at_leaf(archive.pk, archive.first, unredacted=True)
    assert shown is not None
    return shown.record["event_data"]["email"]


@pytest.mark.parametrize(
    "query",
    [
        "actor:{word}",
        "actor:{prefix}*",
        "data.deep.t:{word}",
        "actor:{word} data.deep.n:1.5 after:2026-08-01",
        "{word}",
    ],
)
def test_it_is_found_by_the_words_of_the_search(whole: Archive, query: str) -> None:
    word = word_of(whole)
    shown = archived.find(query.format(word=word, prefix=word[:-2]))
    assert {row.leaf_index for row in shown.rows} == {*range(whole.first, whole.last)}
    assert {row.archive_id for row in shown.rows} == {whole.pk}
    assert archived.find(f"actor:{word} type:nothing.of.it").rows == []
    assert archived.find(f"-actor:{word} id:{shown.rows[0].record['event_id']}").rows == []


def test_pages_follow_each_other(whole: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived, "PER_PAGE", 5)
    query, after, seen = f"actor:{word_of(whole)}", None, []
    while True:
        shown = archived.find(query, after=after)
        seen += [row.leaf_index for row in shown.rows]
        if not shown.more:
            break
        after = shown.rows[-1].at, shown.rows[-1].record["event_id"]
    assert len(seen) == 12
    assert set(seen) == {*range(whole.first, whole.last)}


def test_what_cannot_be_read_as_a_query_or_costs_too_much_is_refused(
    whole: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="nope"):
        archived.find("nope:1")
    monkeypatch.setattr("audit.search.cost.MOST_READ", -1)
    with pytest.raises(Invalid, match="no index finds"):
        archived.find("-actor:nobody")


def test_it_is_mixed_into_no_record_and_counts_nowhere(tmp_path: Path) -> None:
    word = f"w-{secrets.token_hex(4)}"
    archive = made_archive(tmp_path, 4, actor_id=word)
    read.read(ME, tmp_path)
    ids = list(Record.objects.filter(actor_id=word).values_list("id", flat=True))
    assert (len(ids), Leaf.objects.filter(record_id__in=ids).count()) == (4, 4)
    of_archive = Record.objects.filter(correlation_id=f"archive-{archive.pk}")
    assert of_archive.latest("event_timestamp").event_type == "audit.archive.read", "the act itself"
    read.forget(ME, archive)


def test_reading_and_forgetting_are_records(tmp_path: Path) -> None:
    archive = made_archive(tmp_path, 12)
    read.read(ME, tmp_path)
    read.forget(ME, archive)
    acts = Record.objects.filter(correlation_id=f"archive-{archive.pk}").order_by("event_timestamp")
    assert [act.event_type for act in acts][-2:] == ["audit.archive.read", "audit.archive.forgotten"]
    assert not ArchivedRecord.objects.filter(archive=archive).exists()
    assert not archive.volumes.exclude(read_at=None).exists()
    assert check.check(ME, tmp_path).verdict == "VERIFIED"


def test_reading_again_adds_nothing_and_goes_on_where_it_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = made_archive(tmp_path, 12)

    class Killed(Exception):
        pass

    def dies(volume: Any) -> None:
        raise Killed

    read.read(ME, tmp_path, 1)
    first = archive.volumes.get(number=1)
    assert ArchivedRecord.objects.filter(archive=archive).count() == first.last - first.first
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("audit.archive.volumes.sha256", lambda path: dies(path))
        patch.setattr("audit.archive.check.faults_of_file", lambda *arguments: iter(()))
        read.read(ME, tmp_path)
    assert ArchivedRecord.objects.filter(archive=archive).count() == first.last - first.first
    for _ in range(2):
        read.read(ME, tmp_path)
        assert ArchivedRecord.objects.filter(archive=archive).count() == 12
    read.forget(ME, archive)


def test_a_volume_that_does_not_hold_is_not_read(tmp_path: Path) -> None:
    archive = made_archive(tmp_path, 4)
    path = tmp_path / "volume-0001.zip"
    path.write_bytes(path.read_bytes().replace(b'"event_type":"', b'"event_type":"x', 1))
    with pytest.raises(ArchiveUnusable, match="Nothing is read from a volume that does not hold"):
        read.read(ME, tmp_path)
    assert not ArchivedRecord.objects.filter(archive=archive).exists()
    read.forget(ME, archive)


def test_what_the_store_does_not_know_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ArchiveUnusable, match="holds no archive that can be read"):
        read.read(ME, tmp_path)
    begun(tmp_path / "unfinished", 2)
    with pytest.raises(ArchiveUnusable, match="holds no archive that can be read"):
        read.read(ME, tmp_path / "unfinished")


def test_whoever_has_scopes_finds_what_is_within_them(whole: Archive) -> None:
    query = f"actor:{word_of(whole)}"
    for scope, many in ((Scope(("tests",)), 12), (Scope(("another",)), 0), (Scope((), ("another",)), 0)):
        with visibility.viewing(Viewer(lambda scope=scope: (scope,))):
            assert len(archived.find(query).rows) == many
            assert (archived.at_leaf(whole.pk, whole.first) is not None) == bool(many)


def test_whoever_looks_is_noted(whole: Archive) -> None:
    viewer = Viewer(lambda: ())
    with visibility.viewing(viewer):
        archived.find(f"actor:{word_of(whole)}")
    assert (viewer.touched, viewer.rows) == (True, 12)


@pytest.fixture
def rule() -> Iterator[RedactionRule]:
    """A rule on a path that no other test has."""
    made = RedactionRule(name=f"r-{secrets.token_hex(4)}", path="event_data.deep.t", method="remove", reason="tests")
    made.save()
    yield made
    RedactionRule.objects.filter(pk=made.pk).update(active=False)


def test_what_is_redacted_is_not_shown_and_cannot_be_asked_by(whole: Archive, rule: RedactionRule) -> None:
    word = word_of(whole)
    shown = archived.at_leaf(whole.pk, whole.first)
    assert shown is not None
    assert word not in str(shown.record["event_data"])
    assert shown.redacted == {"event_data.deep.t": rule.name}
    with pytest.raises(Invalid, match="asks by what the rule"):
        archived.find(f"data.deep.t:{word}")
    whole_record = archived.at_leaf(whole.pk, whole.first, unredacted=True)
    assert whole_record is not None
    assert whole_record.record["event_data"]["deep"]["t"] == word
    assert archived.find(f"data.deep.t:{word}", unredacted=True).rows
    assert archived.find(word).rows, "a word without a field asks by none of what is redacted"


def test_the_application_changes_no_copy_and_reaches_no_partition(whole: Archive) -> None:
    with pytest.raises(Immutable):
        ArchivedRecord.objects.filter(archive=whole).delete()
    partition = f"audit_archived_{whole.pk.hex}"
    for statement in (
        "DELETE FROM audit_archived_record",
        "UPDATE audit_archived_record SET writer = 'x'",
        "TRUNCATE audit_archived_record",
        f"SELECT * FROM {partition}",
        f"DROP TABLE {partition}",
    ):
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), transaction.atomic():
            connections["default"].cursor().execute(statement)


def test_rights_on_partitions_stay_as_they_are_after_a_migration(whole: Archive) -> None:
    connections["owner"].cursor().execute((SQL / "grants.sql").read_text(encoding="utf-8"))
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connections["default"].cursor().execute(f"SELECT * FROM audit_archived_{whole.pk.hex}")
