"""`manage.py archive`: made, checked and listed by an operator."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.ledger import reader
from tests.audit.evidence.conftest import sealed


def archive(*arguments: str) -> tuple[int, str]:
    """The exit status and what is printed."""
    out = StringIO()
    try:
        call_command("archive", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_an_archive_is_created_checked_and_listed(tmp_path: Path) -> None:
    sealed(6)
    folder, size = str(tmp_path / "archive"), reader.signed_head().size
    status, printed = archive("create", folder, "--from", str(size - 6), "--to", str(size))
    assert (status, f"leaves {size - 6} to {size - 1} in 1 volumes" in printed) == (0, True)
    assert "never checked" in archive("list")[1]
    status, printed = archive("check", folder)
    assert (status, printed.splitlines()[-1]) == (0, "VERIFIED")
    assert f"{size - 6} to {size - 1}  VERIFIED" in archive("list")[1]
    (tmp_path / "archive" / "volume-0001.zip").unlink()
    status, printed = archive("check", folder, "--volume", "1")
    assert (status, printed.splitlines()[0]) == (
        3,
        f"MISSING  volume-0001.zip is missing: leaves {size - 6} to {size - 1}",
    )


def test_what_is_not_covered_has_a_status_of_its_own(tmp_path: Path) -> None:
    sealed(2)
    size = reader.signed_head().size
    archive("create", str(tmp_path), "--from", str(size - 2), "--to", str(size))
    (tmp_path / "more").write_text("more", encoding="utf-8")
    assert archive("check", str(tmp_path))[0] == 4


@pytest.mark.parametrize("given", [(), ("--from", "0"), ("--from", "0", "--to", "1", "--month", "2026-01")])
def test_what_to_archive_is_said_in_one_way(tmp_path: Path, given: Any) -> None:
    sealed(1)
    with pytest.raises(CommandError, match="Say what to archive"):
        archive("create", str(tmp_path), *given)


def test_an_archive_that_was_cut_off_goes_on_without_being_told_its_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(4)
    size = reader.signed_head().size
    with monkeypatch.context() as patch:
        patch.setattr("audit.archive.create.resume", lambda archive, *more: archive)
        archive("create", str(tmp_path), "--from", str(size - 4), "--to", str(size))
    assert "not whole yet" in archive("list")[1]
    assert archive("create", str(tmp_path))[0] == 0
    assert archive("check", str(tmp_path))[0] == 0
