"""Which mappings there are: those of this package, and those of the operator in IMPORT_MAPPINGS_DIR.

One of the operator's with the name of one of ours stands in its place.
"""

from collections.abc import Mapping as Table
from functools import cache
from pathlib import Path

from django.conf import settings

from audit.imports.mapping import MAX_FILE_BYTES, Mapping, MappingInvalid, read

BUILT_IN = Path(__file__).with_name("mappings")
MOST = 200


class NoMapping(MappingInvalid):
    """There is no mapping of this name."""


def find(name: str) -> Mapping:
    """Return a mapping by its name. Raises `NoMapping`, `MappingInvalid`."""
    found = every().get(name)
    if found is None:
        known = ", ".join(sorted(every()))
        raise NoMapping(
            f"There is no mapping {name[:50]!r}: there are {known}; others are files in IMPORT_MAPPINGS_DIR."
        )
    return found


def every() -> Table[str, Mapping]:
    """Return all mappings by name; read once in each process. Raises `MappingInvalid`."""
    return _every(settings.IMPORT_MAPPINGS_DIR)


def load(path: Path) -> Mapping:
    """Read the mapping of a file. Raises `MappingInvalid`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path} cannot be read: {error}") from None
    return read(text, str(path))


@cache
def _every(folder: Path | None) -> dict[str, Mapping]:
    return _of(BUILT_IN) | (_of(folder) if folder is not None else {})


def _of(folder: Path) -> dict[str, Mapping]:
    found: dict[str, Mapping] = {}
    files = sorted(folder.glob("*.toml"))
    if len(files) > MOST:
        raise MappingInvalid(f"{folder} has {len(files)} mappings: at most {MOST} are read")
    for path in files:
        mapping = load(path)
        if mapping.name != path.stem:
            raise MappingInvalid(f"{path}: its name is {mapping.name!r}: call the file {mapping.name}.toml")
        found[mapping.name] = mapping
    return found
