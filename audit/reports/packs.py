"""packs: sets of controls, as data: what each control asks for, which figures answer it, and what is not shown.

Those in audit/reports/packs come with the store; CONTROL_PACKS names a folder of more.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from django.conf import settings
from msgspec import Meta

from audit.errors import AuditError
from audit.formats import canonical
from audit.reports.sections import REFERENCES

OWN = Path(__file__).with_name("packs")
# Characters of the fingerprint of a set's text.
FINGERPRINT = 12
NAME = r"^[a-z0-9][a-z0-9-]*\Z"


class UnreadablePack(AuditError):
    """A file of CONTROL_PACKS is no pack."""


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its gist in our words, the figures that answer it, and what is not shown."""

    id: Annotated[str, Meta(min_length=1, max_length=60)]
    gist: Annotated[str, Meta(min_length=1, max_length=400)]
    evidence: tuple[str, ...] = ()
    not_shown: Annotated[str, Meta(max_length=400)] = ""


class Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pack: Annotated[str, Meta(pattern=NAME, max_length=50)]
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    version: Annotated[str, Meta(min_length=1, max_length=50)]
    controls: Annotated[tuple[Control, ...], Meta(min_length=1, max_length=300)]


def load() -> dict[str, Pack]:
    """All packs by their names. Raises `UnreadablePack`."""
    packs: dict[str, Pack] = {}
    for path in _files():
        pack = read(path.read_bytes(), path.name)
        if pack.pack in packs:
            raise UnreadablePack(
                f"{path.name}: there is a pack {pack.pack!r} already; give this one another name in `pack`"
            )
        packs[pack.pack] = pack
    return packs


def read(text: bytes, name: str) -> Pack:
    """Parse a file. Raises `UnreadablePack`."""
    try:
        pack = msgspec.json.decode(text, type=Pack)
    except msgspec.DecodeError as error:
        raise UnreadablePack(f"{name}: {error}; docs/reports.md shows what a pack looks like") from None
    seen: set[str] = set()
    for control in pack.controls:
        for fault in _faults(control, seen):
            raise UnreadablePack(f"{name}, control {control.id}: {fault}")
        seen.add(control.id)
    return pack


def text_of(pack: Pack) -> str:
    """Return the fingerprint of all that a set says: another text has another one, whatever version it claims."""
    return hashlib.sha256(canonical.canonical(msgspec.to_builtins(pack))).hexdigest()[:FINGERPRINT]


def _faults(control: Control, seen: set[str]) -> Iterator[str]:
    if control.id in seen:
        yield "stands twice; keep one of them"
    if not control.evidence and not control.not_shown:
        yield "has neither evidence nor not_shown; say which figures answer it, or why none does"
    for reference in control.evidence:
        if reference not in REFERENCES:
            yield f"there is no figure {reference!r}; docs/reports.md names them all"


def _files() -> list[Path]:
    folders = [OWN, *([Path(settings.CONTROL_PACKS)] if settings.CONTROL_PACKS else [])]
    for folder in folders:
        if not folder.is_dir():
            raise UnreadablePack(
                f"CONTROL_PACKS names {folder}, which is no folder: make it, or leave the setting empty"
            )
    return [path for folder in folders for path in sorted(folder.glob("*.json"))]
