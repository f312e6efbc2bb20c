"""The id that a foreign event has here: a UUIDv7 of its own time, with the id that it has at its source in it.

However often, by whichever way and after whichever restart an event comes, it has the same id. The writer is part of
it, for an id is a writer's own: nobody takes another's before it comes.
"""

from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

LARGEST_MS = 2**48 - 1
_VERSION_AND_VARIANT = 7 << 76 | 2 << 62
_RANDOM = ~(0xF << 76 | 3 << 62)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def id_of(writer: str, mapping: str, source_id: str, moment: datetime | None) -> UUID:
    """Return the id; of an event without a time of its own it is one of 1970, since no other would stay the same."""
    text = "\n".join((writer, mapping, source_id))
    milliseconds = 0 if moment is None else int((moment - EPOCH).total_seconds() * 1000)
    return _uuid7(min(max(milliseconds, 0), LARGEST_MS), text.encode(errors="surrogatepass"))


def beside(taken: UUID, original: bytes) -> UUID:
    """Return the id of an event whose source used its id for another one before: made of the content as well."""
    return _uuid7(taken.int >> 80, taken.bytes + original)


def _uuid7(milliseconds: int, text: bytes) -> UUID:
    random = int.from_bytes(sha256(text).digest()[:10])
    return UUID(int=milliseconds << 80 | random & _RANDOM | _VERSION_AND_VARIANT)
