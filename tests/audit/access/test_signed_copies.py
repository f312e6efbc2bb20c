"""What is kept in Redis for the time without PostgreSQL counts only where, and as what, the store itself signed it."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings

from audit.access import published_keys
from audit.access.outage import session_copies
from audit.access.outage.person import KnownPerson
from audit.access.outage.session_copies import SessionCopy
from audit.ingest import signed_copies

Sign, Open = Callable[[str, Any], bytes], Callable[[str, bytes], Any]
COPY = SessionCopy(KnownPerson("7", "ann", ()), 1.0, 2.0, ("a", "b"))
KINDS: dict[str, tuple[Sign, Open, Any, Any]] = {
    "a published key": (published_keys._signed, published_keys._opened, '["billing"]', b'["billing"]'),
    "a session": (session_copies._signed, session_copies._opened, session_copies._packed(COPY), COPY),
}
of_each_kind = pytest.mark.parametrize(("sign", "opened", "text", "wanted"), KINDS.values(), ids=KINDS.keys())


@of_each_kind
def test_what_the_store_signed_is_opened_under_its_name_alone(sign: Sign, opened: Open, text: Any, wanted: Any) -> None:
    name = secrets.token_hex(32)
    entry = sign(name, text)
    assert opened(name, entry) == wanted
    assert opened(secrets.token_hex(32), entry) is None
    mac, _, rest = entry.partition(b" ")
    made_by_others = hmac.digest(b"a key that Redis can know", rest, hashlib.sha256).hex().encode()
    for forged in (b"", rest, b" " + rest, made_by_others + b" " + rest, mac + b" " + rest + b" ", entry[1:]):
        assert opened(name, forged) is None, forged


@of_each_kind
def test_it_is_opened_with_the_key_before_a_rotation_and_with_no_other(
    sign: Sign, opened: Open, text: Any, wanted: Any, settings: LazySettings
) -> None:
    name, before = secrets.token_hex(32), settings.DLQ_ENTRY_KEY
    entry = sign(name, text)
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = secrets.token_bytes(32), [before]
    assert opened(name, entry) == wanted
    settings.DLQ_ENTRY_OLD_KEYS = []
    assert opened(name, entry) is None


def test_neither_kind_is_the_other() -> None:
    name, text = secrets.token_hex(32), session_copies._packed(COPY)
    assert published_keys._opened(name, session_copies._signed(name, text)) is None
    assert session_copies._opened(name, published_keys._signed(name, text.decode())) is None


def test_a_session_from_before_a_second_factor_was_demanded_is_none(settings: LazySettings) -> None:
    name = secrets.token_hex(32)
    entry = session_copies._signed(name, session_copies._packed(COPY))
    settings.LOGIN_MFA = "required" if settings.LOGIN_MFA != "required" else "off"
    assert session_copies._opened(name, entry) is None


def test_entries_of_a_release_before_are_read() -> None:
    """Processes of two releases share a Redis while a site is upgraded: the bytes that are signed stay as they are."""
    for kind in (b"published key 1\n", b"session copy 1\noff\n"):
        key = signed_copies.settings.DLQ_ENTRY_KEY
        mac = hmac.digest(key, kind + b"a name" + b"\n" + b"a text", "sha256").hex().encode()
        assert signed_copies.sign(kind, "a name", b"a text") == mac + b" a text"
