"""Copies of sessions in Redis, for the time in which PostgreSQL, which has the sessions, does not answer.

A copy holds what reading the queue takes: the person, their scopes, and the times that end the session. Its key is a
hash of the session's key, so that who reads Redis gets no session. It is signed with DLQ_ENTRY_KEY, which Redis does
not have, so that who writes to Redis makes none. It names the stamps of its person's rights, which a change of them
removes: a copy of older rights is void, however late it is written. One of the few modules that use Redis directly.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
import structlog
from django.conf import settings

import dlq.client
from audit.access.outage.person import KnownPerson
from audit.ingest import signed_copies
from audit.ingest.signed_copies import CopyUnavailable
from audit.visibility import Scope

log = structlog.get_logger(__name__)

# The stamp of what holds for everybody, such as the permissions of groups, beside those of each person.
EVERYBODY = "all"
# What Redis was not there to be told, and is told later by the same process.
OWED_MAX = 1_000
_DOMAIN = b"session copy 1\n"


class SessionCopy(NamedTuple):
    """What is kept of a session; the times are seconds since 1970."""

    person: KnownPerson
    began: float
    seen: float
    # Of the rights as they were before they were read.
    stamps: tuple[str, str]

    @property
    def seconds_left(self) -> float:
        """How long the session lasts without use; 0 and less where it is over."""
        too_old, not_used = self.began + settings.SESSION_HOURS * 3600, self.seen + settings.SESSION_IDLE_MINUTES * 60
        return min(too_old, not_used) - time.time()


def stamps(person: str) -> tuple[str, str]:
    """Return the stamps of everybody's rights and of this person's: to be read before the rights.

    Raises `CopyUnavailable`.
    """
    _tell_owed()
    fresh = secrets.token_hex(8)
    with _answering(), _redis().pipeline(transaction=False) as pipe:
        for name in (EVERYBODY, person):
            pipe.hsetnx(_key("rights"), name, fresh)
        pipe.hmget(_key("rights"), [EVERYBODY, person])
        of_all, of_person = pipe.execute()[-1]
    return _text(of_all), _text(of_person)


def keep(session_key: str, copy: SessionCopy, *, only_if_there: bool = False) -> None:
    """Keep a copy until its session ends by itself. Raises `CopyUnavailable`."""
    if (left_ms := int(copy.seconds_left * 1000)) <= 0:
        return
    digest = _digest(session_key)
    with _answering():
        _redis().set(_key(digest), _signed(digest, _packed(copy)), px=left_ms, xx=only_if_there)


def find(session_key: str) -> SessionCopy | None:
    """Return the copy of a session that lasts, of rights that have not changed. Raises `CopyUnavailable`."""
    digest = _digest(session_key)
    _tell_owed()
    with _answering(), _redis().pipeline(transaction=False) as pipe:
        pipe.get(_key(digest))
        pipe.exists(_key("ended", digest))
        entry, is_ended = pipe.execute()
    copy = None if entry is None or is_ended else _opened(digest, entry)
    if copy is None or copy.seconds_left <= 0:
        return None
    with _answering():
        current: Any = _redis().hmget(_key("rights"), [EVERYBODY, copy.person.pk])
    is_current = None not in current and tuple(map(_text, current)) == copy.stamps
    return copy if is_current else None


def end(session_key: str) -> None:
    """Take the copy of a session away. No copy of it counts again, one that is being written included."""
    _tell("end", _digest(session_key))


def void(person: str) -> None:
    """Let no copy of this person's sessions count, or of `EVERYBODY`: their rights have changed."""
    _tell("void", person)


def _tell(act: str, name: str) -> None:
    """Tell Redis, at once or as soon as it answers this process again."""
    try:
        with _answering():
            _act(act, name)
    except CopyUnavailable as error:
        log.error("session_copies_not_ended", act=act, error=str(error))
        if len(_owed) >= OWED_MAX:
            _owed.clear()
            act, name = "void", EVERYBODY
        _owed[act, name] = None


def _tell_owed() -> None:
    """Tell Redis first what it has missed. Raises `CopyUnavailable`."""
    for act, name in list(_owed):
        with _answering():
            _act(act, name)
        _owed.pop((act, name), None)


def _act(act: str, name: str) -> None:
    if act == "void":
        _redis().hdel(_key("rights"), name)  # which a Redis that is full does, too
        return
    with _redis().pipeline(transaction=False) as pipe:
        pipe.delete(_key(name))
        pipe.set(_key("ended", name), b"", px=int(settings.SESSION_HOURS * 3_600_000))
        pipe.execute()


_owed: dict[tuple[str, str], None] = {}


def _packed(copy: SessionCopy) -> bytes:
    person, scopes = copy.person, [[list(names) for names in scope] for scope in copy.person.sight]
    return json.dumps([person.pk, person.name, scopes, copy.began, copy.seen, copy.stamps]).encode()


def _opened(digest: str, entry: bytes) -> SessionCopy | None:
    """The copy, if the store itself kept it of this session."""
    text = signed_copies.opened(_kind(), digest, entry)
    if text is None:
        log.error("session_copy_forged", digest=digest[:12])
        return None
    pk, name, scopes, began, seen, (of_all, of_person) = json.loads(text)
    sight = tuple(Scope(tuple(writers), tuple(categories)) for writers, categories in scopes)
    return SessionCopy(KnownPerson(pk, name, sight), began, seen, (of_all, of_person))


def _signed(digest: str, text: bytes) -> bytes:
    return signed_copies.sign(_kind(), digest, text)


def _kind() -> bytes:
    """A copy from before a second factor was demanded is none."""
    return _DOMAIN + settings.LOGIN_MFA.encode() + b"\n"


def _digest(session_key: str) -> str:
    return hashlib.sha256(_DOMAIN + session_key.encode(errors="replace")).hexdigest()


def _key(*names: str) -> str:
    return dlq.client.app_key("audit", "sessions", *names)


def _redis() -> redis.Redis:
    return dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit")


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise CopyUnavailable(type(error).__name__) from error
