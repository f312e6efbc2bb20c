"""The cross-link, under which a log goes on after a restore: a signed note of where it was cut, and what follows.

    auditsite/crosslink/v1
    restored audit.example.com/log 1000 base64-of-the-root
    known audit.example.com/log 1234 base64-of-the-root
    continues audit.example.com/log/resumed-1+5d0b1c2a+base64
    at 2026-08-18T10:00:00Z
    asked-by olga
    approved-by carla
    reason the disk of PostgreSQL burned

    — audit.example.com/log base64
    — audit.example.com/log/resumed-1 base64

The first `restored` leaves are those of the log of before, and stay. The leaves after them up to the `known` heads, the
newest that anybody outside has of each name, are gone: later ones are other leaves, under another name, so that no name
ever has two trees. Whoever trusts the key of before learns from it which key goes on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.formats import note
from audit.formats.note import AnySigner, NoteError, TreeHead, Verifier

HEADER = "auditsite/crosslink/v1"
TIME = "%Y-%m-%dT%H:%M:%SZ"
_RESUMED = re.compile(r"/resumed-[1-9][0-9]*(?=\Z|/receipts\Z)")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_MOST_KNOWN = 100


@dataclass(frozen=True)
class CrossLink:
    """Where a log was cut, what is known of it from before, and as what it goes on.

    Raises `NoteError` where it goes on under a name that it ends: there would be two histories of one name.
    """

    restored: TreeHead
    known: tuple[TreeHead, ...]  # of each name the newest; at least one
    continues: Verifier
    at: datetime
    asked_by: str
    approved_by: str
    reason: str

    def __post_init__(self) -> None:
        if self.continues.name in {head.origin for head in (self.restored, *self.known)}:
            raise NoteError(f"the cross-link goes on under a name that it ends: {self.continues.name}")

    @property
    def text(self) -> str:
        """The signed text. Raises `NoteError` for what it cannot hold."""
        lines = [HEADER, f"restored {_head(self.restored)}", *(f"known {_head(head)}" for head in self.known)]
        lines += [f"continues {self.continues}", f"at {self.at.astimezone(UTC):{TIME}}"]
        lines += [f"asked-by {self.asked_by}", f"approved-by {self.approved_by}", f"reason {self.reason}"]
        if any(re.search(r"[\x00-\x1f\x7f]", line) or line.endswith(" ") for line in lines):
            raise NoteError("a name or the reason is empty, or has line breaks or control characters")
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "CrossLink":
        """Read a signed text. Raises `NoteError`."""
        header, *lines = text.removesuffix("\n").split("\n")
        pairs = [line.partition(" ")[::2] for line in lines]
        names = [name for name, _ in pairs]
        count = names.count("known")
        wanted = ["restored", *["known"] * count, "continues", "at", "asked-by", "approved-by", "reason"]
        if header != HEADER or names != wanted or not 1 <= count <= _MOST_KNOWN:
            raise NoteError(f"a cross-link starts with {HEADER}, and has its members in their order")
        values = [value for _, value in pairs]
        key, at, asked_by, approved_by, reason = values[1 + count :]
        try:
            moment = datetime.strptime(at, TIME).replace(tzinfo=UTC)
        except ValueError:
            raise NoteError(f"{at[:40]!r} is no time of a cross-link") from None
        known = tuple(_parsed(value) for value in values[1 : 1 + count])
        return cls(_parsed(values[0]), known, Verifier.parse(key), moment, asked_by, approved_by, reason)

    def closes(self, origin: str) -> TreeHead | None:
        """The newest known head of a name that this link ended; None where it ended another."""
        return next((head for head in self.known if head.origin == origin), None)


def sign(link: CrossLink, before: AnySigner, after: AnySigner) -> str:
    """The note, signed by the key that signed until now and by the one that goes on."""
    text = link.text
    return note.join(text, [before.sign(text), after.sign(text)])


def read(signed: str, verifiers: Iterable[Verifier]) -> CrossLink:
    """Return what a cross-link says, if a key of before and the one that goes on signed it. Raises `NoteError`."""
    text, attested = note.verify(signed, verifiers)
    link = CrossLink.parse(text)
    before = [each for each in attested if each.verifier.name in {head.origin for head in (link.restored, *link.known)}]
    if not before:
        raise NoteError("no known key of the log of before has signed the cross-link")
    note.verify(signed, [link.continues])
    return link


def base_of(origin: str) -> str:
    """The name of a log without what a resume has added: names with the same one are of one store."""
    return _RESUMED.sub("", origin)


def following(origins: Iterable[str]) -> str:
    """The name under which a log goes on that had these."""
    names = set(origins)
    base = base_of(min(names, key=len))
    return next(name for n in range(1, len(names) + 2) if (name := f"{base}/resumed-{n}") not in names)


def _head(head: TreeHead) -> str:
    return f"{head.origin} {head.size} {note.encode64(head.root)}"


def _parsed(text: str) -> TreeHead:
    parts = text.split(" ")
    if len(parts) != 3 or not parts[0] or not _SIZE.match(parts[1]):
        raise NoteError(f"{text[:80]!r} is no head: origin, size, root")
    root = note.decode64(parts[2])
    if len(root) != 32:
        raise NoteError("the root is not 32 bytes long")
    return TreeHead(parts[0], int(parts[1]), root)
