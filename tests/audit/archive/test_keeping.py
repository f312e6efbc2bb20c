"""A file counts as locked while its lock holds, and where nobody can lift it that the settings do not allow to."""

from datetime import UTC, datetime, timedelta

import pytest

from audit.archive.keeping import said_of
from audit.buckets.storage import Lock

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


@pytest.mark.parametrize("mode", ["COMPLIANCE", "GOVERNANCE"])
def test_a_lock_that_has_run_out_is_none(mode: str) -> None:
    words = f"not locked any more: its lock in the mode {mode} ran out on 2026-11-29"
    assert said_of(Lock(mode, NOW), mode, NOW) == (words, False)
    assert said_of(Lock(mode, NOW + timedelta(seconds=1)), mode, NOW).is_locked


def test_a_lock_of_a_weaker_mode_than_the_settings_ask_for_is_none() -> None:
    said = said_of(Lock("GOVERNANCE", LATER), "COMPLIANCE", NOW)
    assert not said.is_locked
    assert said.words == (
        "locked in the mode GOVERNANCE until 2026-12-29, which some may lift, and ARCHIVE_LOCK_MODE is COMPLIANCE"
    )


@pytest.mark.parametrize("asked", ["COMPLIANCE", "GOVERNANCE"])
def test_a_lock_of_a_stronger_mode_is_as_good(asked: str) -> None:
    assert said_of(Lock("COMPLIANCE", LATER), asked, NOW) == ("locked in the mode COMPLIANCE until 2026-12-29", True)


def test_what_has_no_lock_is_not_locked() -> None:
    assert said_of(None, "GOVERNANCE", NOW) == ("not locked, or the key may not read locks", False)
