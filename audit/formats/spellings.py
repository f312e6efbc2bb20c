"""What has several spellings and one meaning: UUIDs, addresses."""

import ipaddress
import re
from functools import lru_cache
from uuid import UUID

# RFC 9562: in either case, with its dashes or without them, bare or as a URN; in braces, as some systems write it.
UUID_PATTERN = (
    "(?:[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?"
    "(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}"
    r"|\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\})"
)
_UUID = re.compile(rf"{UUID_PATTERN}\Z")
_IPV4_PARTS = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){1,3}\Z")
_IPV6_PARTS = re.compile(r"(?:[0-9A-Fa-f]{1,4}:){1,7}\Z")
# What stands before an IPv4 address in the form of IPv6.
_MAPPED = (0, 0, 0, 0, 0, 0xFFFF)


def read_uuid(text: str) -> UUID:
    """Read a UUID in any spelling. Raises `ValueError`."""
    if not _UUID.match(text):
        raise ValueError("is not a UUID (RFC 9562)")
    return UUID(text)


@lru_cache(maxsize=8192)
def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an IPv4 or IPv6 address; an IPv4 address in the form of IPv6 is that IPv4 address. Raises `ValueError`."""
    if "%" in text:
        raise ValueError("an address with a zone means nothing outside its host: leave out the zone")
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def read_network(text: str) -> str:
    """Read the whole parts that an address begins with, such as 192.0.2. or 2001:db8:. Raises `ValueError`."""
    parts = text[:-1].split(".")
    if _IPV4_PARTS.match(text) and all(int(part) < 256 for part in parts):
        return text
    groups = [int(group, 16) for group in text[:-1].split(":")] if _IPV6_PARTS.match(text) else []
    # What begins as a mapped address does would have IPv4 addresses among IPv6 ones.
    if not groups or tuple(groups[:6]) == _MAPPED[: len(groups)]:
        raise ValueError("`*` stands for whole parts of an address, with all before it: 192.0.2.*, 2001:db8:*")
    return "".join(f"{group:x}:" for group in groups)


def spelled_out(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address with all its parts, so that any program can compare it: 2001:db8:0:0:0:0:0:1."""
    if address.version == 4:
        return str(address)
    return ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))


def bits(spelled: str) -> str:
    """Return what `read_network` and `spelled_out` return as hex digits, as the SQL function `audit_address` does."""
    if ":" in spelled:
        return "".join(group.zfill(4) for group in spelled.split(":") if group)
    groups = "".join(f"{group:04x}" for group in _MAPPED)
    return groups + "".join(f"{int(octet):02x}" for octet in spelled.split(".") if octet)
