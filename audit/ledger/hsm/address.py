"""Where a key is: a `pkcs11:` URI (RFC 7512). Pure; its texts never have a PIN."""

from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

SCHEME = "pkcs11:"
_PATH = ("token", "serial", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_NEEDED = "it needs token= or serial=, object= or id=, and ?module-path=FILE&pin-source=FILE"


class UnreadableUri(ValueError):
    """The text is no `pkcs11:` URI, or does not say enough."""


@dataclass(frozen=True)
class Address:
    """A key in a token, the module that reaches it, and the file with its PIN; "" for what is not said."""

    module: str
    pin_file: str
    token: str = ""
    serial: str = ""
    object: str = ""
    id: bytes = b""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read a URI. Raises `UnreadableUri`, which quotes no value."""
        path, _, query = text.removeprefix(SCHEME).partition("?")
        if not text.startswith(SCHEME):
            raise UnreadableUri(f"it does not start with {SCHEME}")
        found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if found.pop("type", b"private") != b"private":
            raise UnreadableUri("type= is not private")
        identifier = found.pop("id", b"")
        try:
            words = {name: value.decode() for name, value in found.items()}
        except UnicodeDecodeError:
            raise UnreadableUri("a value is not UTF-8") from None
        address = cls(
            words.get("module-path", ""),
            words.get("pin-source", "").removeprefix("file:"),
            words.get("token", ""),
            words.get("serial", ""),
            words.get("object", ""),
            identifier,
        )
        is_token, is_key = address.token or address.serial, address.object or address.id
        if not (is_token and is_key and address.module and address.pin_file):
            raise UnreadableUri(_NEEDED)
        return address

    @property
    def spoken(self) -> str:
        """Which key of which token, in words."""
        return f"{self.object or self.id.hex()!r} in {self.token or self.serial!r}"

    def __str__(self) -> str:
        path = {"token": self.token, "serial": self.serial, "object": self.object}
        query = {"module-path": self.module, "pin-source": f"file:{self.pin_file}"}
        number = f";id={quote(self.id, safe='')}" if self.id else ""
        return f"{SCHEME}{_joined(path, ';')}{number}?{_joined(query, '&')}"


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, _, value = part.partition("=")
        if name == "pin-value":
            raise UnreadableUri("a PIN does not stand in a URI: put it into a file, and name that by pin-source=")
        if name not in known or name in found:
            raise UnreadableUri(f"{name[:40]!r} stands twice, or is none of {', '.join(known)}")
        found[name] = unquote_to_bytes(value)
    return found


def _joined(values: dict[str, str], separator: str) -> str:
    return separator.join(f"{name}={quote(value, safe='/:')}" for name, value in values.items() if value)
