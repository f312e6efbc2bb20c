"""Pages of archives: which there are, what the last check said, and how to check."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.audit.archive.conftest import archived, begun, checked
from tests.audit.buckets.conftest import Ours, gateway, locking, longest

__all__ = ["gateway", "locking"]

LIST = reverse("admin:audit_archive_changelist")


@pytest.fixture(autouse=True)
def small(settings: Any) -> None:
    settings.EXPORT_VOLUME, settings.ARCHIVE_VOLUME_MB = 4, 0.006


def page_of(client: Client, archive: Any) -> str:
    return client.get(reverse("admin:audit_archive_change", args=[archive.pk])).content.decode()


def test_an_archive_shows_its_last_check_and_what_is_wrong(auditor: Client, tmp_path: Path) -> None:
    made = archived(tmp_path, 8)
    assert "never checked" in page_of(auditor, made)
    assert "never checked" in auditor.get(LIST).content.decode()
    checked(tmp_path)
    page = page_of(auditor, made)
    assert "VERIFIED" in page
    assert made.digest in page
    assert f"manage.py archive check {tmp_path}" in page
    (tmp_path / "volume-0001.zip").unlink()
    checked(tmp_path)
    page = page_of(auditor, made)
    assert "MISSING  volume-0001.zip is missing" in page
    assert "MISSING" in auditor.get(LIST).content.decode()


@pytest.mark.slow
def test_an_archive_in_a_bucket_says_how_its_files_are_locked(auditor: Client, locking: Ours, settings: Any) -> None:
    settings.S3, settings.ARCHIVE_LOCK = locking.gateway.storage, settings.ARCHIVE_LOCK._replace(days=longest())
    made = archived(locking.place("2026-08"), 4)
    checked(locking.place("2026-08"))
    page = page_of(auditor, made)
    assert "How it is kept" in page
    assert "archive.json to volume-0001.zip, 3 files: locked in the mode COMPLIANCE until" in page
    assert f"manage.py archive check {locking.place('2026-08')}" in page


def test_an_archive_that_is_not_whole_says_how_to_go_on(operator: Client, tmp_path: Path) -> None:
    archive = begun(tmp_path, 4)
    page = page_of(operator, archive)
    assert "not whole yet" in page
    assert f"manage.py archive create {tmp_path}" in page


def test_archives_are_seen_by_those_who_answer_for_the_store(
    auditor: Client, operator: Client, administrator: Client
) -> None:
    assert (auditor.get(LIST).status_code, operator.get(LIST).status_code) == (200, 200)
    assert administrator.get(LIST).status_code == 403
    assert 'href="/admin/audit/archive/"' in auditor.get("/admin/audit/export/").content.decode()


def test_there_is_no_archive_of_another_id(auditor: Client) -> None:
    assert auditor.get("/admin/audit/archive/nothing/change/").status_code == 404
