"""What anchor and witnesses have of this log: the heads that nobody here can take back.

The sealer asks before it signs its first head: a log below or beside one of them would be another log.
"""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import structlog

from audit.formats import note
from audit.formats.note import NoteError, TreeHead
from audit.ledger import anchor, crosslinks, reader, witnesses
from audit.ledger.keys import Keys
from audit.models import Checkpoint

log = structlog.get_logger(__name__)

# Set where a witness has seen more, or another log: the sealer of this process then asks again before it goes on.
refused = threading.Event()


class Outside(NamedTuple):
    """A head that is kept elsewhere, signed by a key of this log."""

    where: str
    head: TreeHead


class Known(NamedTuple):
    """The newest heads outside, and whom nobody could ask."""

    heads: list[Outside]
    unasked: list[str]


def newest(keys: Keys) -> Known:
    """The newest head of the anchor, and that of each witness for each name of the log. Raises for none of them."""
    return _with_witnesses(of_anchor(keys), keys)


def of_anchor(keys: Keys) -> Known:
    """The newest head of the anchor alone, which costs no request. Raises nothing: its storage may have gone."""
    try:
        found = _signed((entry.where, entry.note) for entry in anchor.newest_anchored(keys.origin))
        return Known(list(_of_keys(found, keys)), [])
    except OSError as error:
        return Known([], [f"anchor: {type(error).__name__}"])


def everything(keys: Keys) -> Known:
    """Of each name the newest head that anybody has: all of the anchor is read. Raises `OSError` for the anchor."""
    found = _of_keys(_signed((entry.where, entry.note) for entry in anchor.anchored()), keys)
    known = _with_witnesses(Known(_largest(found), []), keys)
    return known._replace(heads=_largest(iter(known.heads)))


def conflicts(known: Known, head: Checkpoint | None, keys: Keys, using: str) -> list[str]:
    """Why the log in the database may not be signed on; empty where all that is known is of its past."""
    links, own = crosslinks.read(keys, using), crosslinks.own_name(head, keys)
    found = []
    for outside in known.heads:
        why = crosslinks.conflict(outside.head, head, own, links, lambda size: reader.root(size, using))
        if why is not None:
            found.append(f"{outside.where}: {why}")
    return found


def _signed(entries: Iterator[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
    return ((where, text) for where, text in entries if text is not None)


def _of_keys(entries: Iterator[tuple[str, str]], keys: Keys) -> Iterator[Outside]:
    """Those of this log. One by a key that is not known here counts: it may be one that came after the backup."""
    for where, text in entries:
        try:
            if keys.is_ours(note.origin_of(text)):
                yield Outside(where, TreeHead.parse(note.split(text)[0]))
            note.verify(text, keys.all_verifiers)
        except NoteError as error:
            log.warning("outside_not_believed", where=where, error=str(error))


def _with_witnesses(known: Known, keys: Keys) -> Known:
    heads, unasked = list(known.heads), list(known.unasked)
    for witness in witnesses.witnesses():
        for origin in dict.fromkeys(verifier.name for verifier in keys.verifiers):
            where = f"witness {witness.verifier.name}"
            try:
                text = witnesses.latest_of(witness, origin)
            except witnesses.NothingSeen:
                continue
            except OSError as error:
                unasked.append(f"{where}: {type(error).__name__}")
                break
            heads.extend(_of_keys(iter([(where, text)]), keys))
    return Known(heads, unasked)


def _largest(found: Iterator[Outside]) -> list[Outside]:
    largest: dict[str, Outside] = {}
    for outside in found:
        if outside.head.origin not in largest or outside.head.size > largest[outside.head.origin].head.size:
            largest[outside.head.origin] = outside
    return list(largest.values())
