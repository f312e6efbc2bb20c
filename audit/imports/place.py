"""place: how far a file was imported. While PostgreSQL is away nothing is saved: what comes again is taken once."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from django.db import DatabaseError

from audit.imports.mapping import Mapping
from audit.models import ImportPlace

# What nobody went on with for so long is forgotten.
KEPT = timedelta(days=90)


class Place(NamedTuple):
    """So much of a file was taken, and what a reader has to know to go on there."""

    offset: int
    line: int
    digest: str
    state: dict[str, Any]


def key_of(name: str, mapping: Mapping, writer: str) -> str:
    """Return the key of a file: an import of another writer, or by another mapping, begins at its beginning."""
    parts = (writer, mapping.name, mapping.digest, str(Path(name).resolve()))
    return sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def find(key: str) -> Place | None:
    """Return how far a file was imported; None where nothing is known."""
    with suppress(DatabaseError):
        row = ImportPlace.objects.filter(pk=key).first()
        return None if row is None else Place(row.offset, row.line, row.digest, row.state)
    return None


def save(key: str, place: Place) -> None:
    with suppress(DatabaseError):
        values = place._asdict() | {"saved_at": datetime.now(UTC)}
        ImportPlace.objects.update_or_create(pk=key, defaults=values)


def forget(key: str) -> None:
    """Forget the place of a file that is imported to its end, and places that are old."""
    with suppress(DatabaseError):
        ImportPlace.objects.filter(pk=key).delete()
        ImportPlace.objects.filter(saved_at__lt=datetime.now(UTC) - KEPT).delete()
