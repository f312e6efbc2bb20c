"""The cross-links of this log: under which names it went, where it was cut, and what a head from outside is to it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit.errors import LogDamaged
from audit.formats import crosslink, note
from audit.formats.crosslink import CrossLink
from audit.formats.note import NoteError, TreeHead
from audit.ledger.keys import Keys
from audit.models import Checkpoint, LogCrossLink

RESTORED = "the database was restored from an older copy. See docs/operations.md, A restored database."


class Link(NamedTuple):
    """A cross-link of this log, and the number of the first checkpoint after it."""

    checkpoint: int
    says: CrossLink
    note: str


def read(keys: Keys, using: str = "reader") -> list[Link]:
    """Return the log's cross-links in their order. Raises `LogDamaged` where one is not signed by known keys."""
    links = []
    for row in LogCrossLink.objects.using(using).order_by("checkpoint"):
        try:
            links.append(Link(row.checkpoint, crosslink.read(row.note, keys.verifiers), row.note))
        except NoteError as error:
            raise LogDamaged(
                f"The cross-link before checkpoint {row.checkpoint} cannot be believed: {error}."
            ) from None
    return links


def origin_of(number: int, links: Sequence[Link], own: str) -> str:
    """The name under which the checkpoint of this number was to be signed; `own` is that of the newest head."""
    if not links:
        return own
    if number < links[0].checkpoint:
        return links[0].says.restored.origin
    return next(link.says.continues.name for link in reversed(links) if link.checkpoint <= number)


def closing(origin: str, links: Sequence[Link]) -> Link | None:
    """The cross-link that ended a name; None where none did."""
    return next((link for link in links if link.says.closes(origin) or link.says.restored.origin == origin), None)


def last_of(origin: str, link: Link) -> int:
    """How many leaves the newest head of an ended name had, as the link knew it."""
    known = link.says.closes(origin)
    return max(link.says.restored.size, known.size if known is not None else 0)


def conflict(
    outside: TreeHead, head: Checkpoint | None, own: str, links: Sequence[Link], root: Callable[[int], bytes]
) -> str | None:
    """Why the log may not be signed on while this head is known outside; None where it is of this log's past.

    `own` is the name that the log has now; `root` computes the root of its first leaves.
    """
    size = 0 if head is None else head.size
    if (link := closing(outside.origin, links)) is not None:
        if outside.size > last_of(outside.origin, link):
            return f"a checkpoint of {outside.origin} has {outside.size} records, and the cross-link knew of less"
        size = link.says.restored.size
        if outside.size > size:
            return None  # its end is gone, and the cross-link says so
    elif outside.origin != own:
        return f"a checkpoint of {outside.size} records is of {outside.origin}: the log had been resumed; {RESTORED}"
    if outside.size > size:
        return f"a checkpoint of {outside.size} records is known, the database is of {size}: {RESTORED}"
    if outside.size and root(outside.size) != outside.root:
        return f"a checkpoint of {outside.size} records has another root: it is another log, or {RESTORED}"
    return None


def own_name(head: Checkpoint | None, keys: Keys) -> str:
    """The name under which the head was signed; that of the key while nothing is signed.

    Raises `LogDamaged` where its note cannot be read.
    """
    return keys.origin if head is None else text_of(head).split("\n")[0]


def text_of(head: Checkpoint) -> str:
    """The signed text of a head, its signatures not checked. Raises `LogDamaged` where its note cannot be read."""
    try:
        return note.split(head.note)[0]
    except NoteError as error:
        raise LogDamaged(f"Checkpoint {head.number} cannot be believed: {error}.") from None
