"""config: `streams.toml`, which names the targets. Secrets lie in files or in the environment, never in it.

A table for each target, whose name it is: `type`, what that kind needs, and bounds. See docs/streams.md.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings

from audit.errors import Invalid

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z")
# What a secret could be called: it must not stand in the file itself.
_SECRETS = ("token", "password", "authorization", "api_key", "secret")
MAX_FILE_BYTES, MAX_SECRET_BYTES = 1024 * 1024, 64 * 1024


class Options:
    """The members of a target's table. Each is asked for once; what nobody asked for is not known. Raises `Invalid`."""

    def __init__(self, name: str, table: Mapping[str, Any]):
        self.name, self._table, self._known = name, table, {"type"}

    def text(self, member: str, default: str | None = None) -> str:
        return str(self._of(member, default, str, "text"))

    def number(self, member: str, default: float, *, least: float, most: float) -> float:
        value = float(self._of(member, default, (int, float), "a number"))
        if not least <= value <= most:
            raise self.fault(member, f"is {value:g}, and must be from {least:g} to {most:g}")
        return value

    def integer(self, member: str, default: int, *, least: int, most: int) -> int:
        self._of(member, default, int, "a whole number")
        return int(self.number(member, default, least=least, most=most))

    def flag(self, member: str, default: bool) -> bool:
        return bool(self._of(member, default, bool, "true or false"))

    def choice(self, member: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(member, default)
        if value not in choices:
            raise self.fault(member, f"is {value!r}: take one of {', '.join(choices)}")
        return value

    def path(self, member: str, default: str | None = None) -> Path | None:
        text = self.text(member, "" if default is None else default)
        return Path(text) if text else None

    def url(self, member: str) -> str:
        """An address without a secret in it."""
        text = self.text(member)
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.fault(member, "must be an address that begins with https:// or http://")
        if parts.username or parts.password or parts.query:
            raise self.fault(member, "must have neither a password nor a query: secrets lie in files")
        return text

    def secret(self, member: str, *, required: bool = False) -> "Secret | None":
        """What `MEMBER_file` or `MEMBER_env` lead to; read at each use, so that it can be replaced."""
        file, variable = self.text(f"{member}_file", ""), self.text(f"{member}_env", "")
        if file and variable:
            raise self.fault(f"{member}_file", f"stands beside {member}_env: take one")
        if required and not (file or variable):
            raise self.fault(f"{member}_file", "is missing: name the file that has it")
        return Secret(self.name, Path(file) if file else None, variable) if file or variable else None

    def done(self) -> None:
        """All members that this kind knows were asked for."""
        for member in sorted(self._table.keys() - self._known):
            if member.lower() in _SECRETS:
                raise self.fault(member, f"must not stand in the file: name {member}_file or {member}_env")
            raise self.fault(member, f"is not known to a target of the type {self._table['type']}")

    def fault(self, member: str, text: str) -> Invalid:
        return Invalid({f"{self.name}.{member}": text})

    def _of(self, member: str, default: Any, kind: Any, words: str) -> Any:
        self._known.add(member)
        value = self._table.get(member, default)
        if value is None:
            raise self.fault(member, "is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fault(member, f"must be {words}")
        return value


class Secret(NamedTuple):
    """Where a secret lies."""

    target: str
    file: Path | None
    variable: str

    def read(self) -> str:
        """Raises `Invalid` where it is not there, or is no text of one line: errors about it would show it."""
        place = f"the variable {self.variable}" if self.file is None else str(self.file)
        try:
            value = os.environ.get(self.variable, "") if self.file is None else self._of_file(self.file)
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid({self.target: f"{place} cannot be read: {type(error).__name__}"}) from None
        if not value:
            raise Invalid({self.target: f"{place} is not set, or empty"})
        if not (value.isascii() and value.isprintable()):
            raise Invalid({self.target: f"{place} has a line end or another character that no secret here may have"})
        return value

    def _of_file(self, path: Path) -> str:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_SECRET_BYTES).strip()


def tables(path: Path | None = None) -> dict[str, Options]:
    """What the file says of each target, by name. Raises `Invalid`."""
    path = path or settings.STREAMS_FILE
    if path is None:
        raise Invalid({"STREAMS_FILE": "is not set: name the file of the targets (docs/streams.md)"})
    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
        if len(body) > MAX_FILE_BYTES:
            raise Invalid({str(path): f"has more than {MAX_FILE_BYTES} bytes"})
        read = tomllib.loads(body.decode())
    except OSError as error:
        raise Invalid({str(path): f"cannot be read: {error.strerror}"}) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid({str(path): f"is not TOML: {error}"}) from None
    for name, table in read.items():
        if not NAME.match(name):
            raise Invalid({name: "is no name of a target: 1 to 60 of a-z, 0-9, _ and -"})
        if not isinstance(table, dict) or not isinstance(table.get("type"), str):
            raise Invalid({name: 'is no target: it needs a type, such as type = "file"'})
    return {name: Options(name, table) for name, table in read.items()}
