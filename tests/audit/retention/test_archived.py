"""Before a record goes an archive holds it, checked and sealed, unless its plan says why none has to."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections

from audit.archive import check, create, span
from audit.errors import Invalid
from audit.evidence.request import THE_STORE
from audit.ledger import purged, reader
from audit.models import Archive, ArchiveCheck, Record, RetentionRequest
from audit.reports.sections import archives
from audit.reports.snapshot import Snapshot
from audit.retention import archived, purge
from tests.audit.retention.conftest import ANN, BEN, aged, ago, approved, here, seal, short

pytestmark = pytest.mark.slow

FIRST = 600


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Any) -> Iterator[None]:
    yield


def planned(count: int = 3) -> tuple[list[Any], RetentionRequest]:
    """Records that are due, at the leaves from FIRST on, and an approved plan that needs an archive of them."""
    category = short()
    ids = [aged(ago(40), event_category=category) for _ in range(count)]
    return ids, approved(without_archive="")


def archive(folder: Path, first: int, last: int) -> Archive:
    """An archive that is whole, and not checked."""
    return create.resume(create.create(THE_STORE, folder, span.read_span(str(first), str(last))), THE_STORE)


def by_the_database(plan: RetentionRequest) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT audit_purge(%s, 1000)", [plan.pk])


def test_a_purge_waits_for_archives_of_all_of_it_and_names_them(tmp_path: Path) -> None:
    ids, plan = planned()
    with pytest.raises(archived.NotArchived, match="holds the leaves 600 to 602: archive them"):
        purge.run(plan, by=BEN)
    assert not Record.objects.filter(event_type="audit.purge.begun").exists()
    for place, (first, last) in enumerate([(FIRST - 1, FIRST + 2), (FIRST + 2, FIRST + 3)]):
        made = archive(tmp_path / str(place), first, last)
        with pytest.raises(archived.NotArchived):
            purge.run(plan, by=BEN)  # it was not checked
        assert check.check(THE_STORE, Path(made.folder)).verdict == "VERIFIED"
        with pytest.raises(archived.NotArchived):
            purge.run(plan, by=BEN)  # it was, and the record of that is not sealed
        seal()
    assert (archived.lacking(plan), here(ids)) == ([], set(ids))
    assert purge.run(plan, by=BEN).purged == 3
    certificate = purge.certificate(plan)
    assert certificate is not None
    facts = purged.read(certificate.event_data["note"])
    assert [(each["first"], each["last"]) for each in facts["archives"]] == [(599, 602), (602, 603)]
    assert {each["digest"] for each in facts["archives"]} == set(Archive.objects.values_list("digest", flat=True))
    assert facts["without_archive"] == ""
    seal()
    today = datetime.now(UTC).date()
    figures = {each.key: each for each in archives.figures(Snapshot(today, today, reader.signed_head("default")))}
    assert (figures["archives"].value, figures["archive_checks"].value, figures["archive_checks"].state) == (
        2,
        2,
        "shown",
    )
    assert str(figures["archive_last"].value).startswith("leaves 602 to 602, made 20")


def test_postgresql_asks_for_the_archive_by_itself_and_forgets_one_that_was_found_faulty(tmp_path: Path) -> None:
    ids, plan = planned()
    with pytest.raises(OperationalError, match="leaf 600 is in no archive whose last check is VERIFIED and sealed"):
        by_the_database(plan)
    made = archive(tmp_path / "archive", FIRST, FIRST + 3)
    folder = Path(made.folder)
    assert check.check(THE_STORE, folder).verdict == "VERIFIED"
    seal()
    assert archived.lacking(plan) == [] and made.holds
    shutil.move(folder / "volume-0001.zip", tmp_path / "elsewhere.zip")
    assert check.check(THE_STORE, folder, 1).verdict == "MISSING"
    seal()
    assert archived.lacking(plan) == [(FIRST, FIRST + 3)] and not made.holds
    today = datetime.now(UTC).date()
    checks = archives.figures(Snapshot(today, today, reader.signed_head("default")))[1]
    assert (checks.value, checks.state, checks.note) == (2, "exception", "1 of them said something else than VERIFIED.")
    with pytest.raises(OperationalError, match="is in no archive"):
        by_the_database(plan)
    assert here(ids) == set(ids)


def test_who_writes_that_an_archive_was_checked_and_records_nothing_removes_nothing(tmp_path: Path) -> None:
    """What the application says in its tables counts with a sealed record of it alone."""
    ids, plan = planned()
    made, now = archive(tmp_path / "archive", FIRST, FIRST + 3), datetime.now(UTC)
    ArchiveCheck.objects.create(
        archive=made,
        folder="x",
        requested_by=ANN,
        started_at=now,
        ended_at=now,
        verdict="VERIFIED",
        volumes=1,
        records=3,
    )
    seal()
    assert made.holds
    with pytest.raises(OperationalError, match="is in no archive"):
        by_the_database(plan)
    assert here(ids) == set(ids)


def test_a_plan_that_needs_no_archive_says_why_in_records_and_certificate() -> None:
    category = short()
    ids = [aged(ago(40), event_category=category) for _ in range(2)]
    plan = approved(without_archive="  copies lie at the notary's ")
    assert purge.run(plan, by=BEN).purged == len(ids)
    certificate = purge.certificate(plan)
    assert certificate is not None
    facts = purged.read(certificate.event_data["note"])
    assert (facts["archives"], facts["without_archive"]) == ([], "copies lie at the notary's")
    acts = Record.objects.filter(event_type__in=("audit.purge.asked", "audit.purge.approved"))
    assert {act.event_data["without_archive"] for act in acts} == {"copies lie at the notary's"}


def test_why_no_archive_is_needed_is_text_as_any_reason() -> None:
    aged(ago(40), event_category=short())
    seal()
    with pytest.raises(Invalid, match="without_archive"):
        purge.ask(ago(0), reason="it is over", by=ANN, without_archive="x" * 3_000)


def test_what_a_purge_has_removed_before_needs_no_archive_any_more(tmp_path: Path) -> None:
    category = short()
    for _ in range(2):
        aged(ago(40), event_category=category)
    purge.run(approved(), by=BEN)
    _, plan = planned(1)
    with connections["owner"].cursor() as cursor:  # as if the plan began where the purge before it did
        cursor.execute("ALTER TABLE audit_retentionrequest DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_retentionrequest SET first = %s WHERE id = %s", [FIRST - 1, plan.pk])
    found = archived.lacking(plan)
    assert [(FIRST - 1, FIRST), (FIRST + 2, plan.size)] == found
