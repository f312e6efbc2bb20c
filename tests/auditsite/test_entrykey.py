"""The keys of the queue's entries come from a file, or from the secret key, and are like neither."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auditsite.entrykey import derive, entry_keys
from auditsite.settings import moment


def test_without_a_file_the_key_is_derived_from_the_secret_key() -> None:
    (key,) = entry_keys("a secret", None)
    assert key == derive("a secret") != derive("another secret")
    assert len(key) == 32 and key != b"a secret"


def test_the_fallbacks_of_the_secret_key_verify_what_they_signed_and_sign_nothing() -> None:
    assert entry_keys("of now", None, ["of before"]) == [derive("of now"), derive("of before")]


def test_it_is_hkdf_as_others_compute_it() -> None:
    theirs = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"auditsite dlq entry key 1")
    assert theirs.derive(b"a secret") == derive("a secret")


def test_the_first_line_of_the_file_signs_and_the_others_verify(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("n" * 32 + "\n\n" + "o" * 40 + "\n")
    assert entry_keys("unused", path) == [derive("n" * 32), derive("o" * 40)]


@pytest.mark.parametrize("text", ["", "\n", "short\n", "n" * 32 + "\nshort\n"])
def test_a_file_without_a_key_or_with_a_short_one_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"DLQ_ENTRY_KEY_FILE .* at least 32 characters"):
        entry_keys("unused", path)


def test_a_time_in_settings_is_of_utc_unless_it_says_otherwise() -> None:
    assert moment("") is None
    assert moment("2026-12-01") == datetime(2026, 12, 1, tzinfo=UTC)
    other = moment("2026-12-01T02:00:00+02:00")
    assert other == datetime(2026, 12, 1, tzinfo=UTC) and other.utcoffset() == timedelta(hours=2)
