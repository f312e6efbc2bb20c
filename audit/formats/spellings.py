"""What has several spellings and one meaning: UUIDs, addresses."""

import ipaddress
import re
from uuid import UUID

# RFC 9562: in either case, with its dashes or without them, bare or as a URN; in braces, as some systems write it.
UUID_PATTERN = (
    "(?:[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?"
    "(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}"
    r"|\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\})"
)
_UUID = re.compile(rf"{UUID_PATTERN}\Z")


def read_uuid(text: str) -> UUID:
    """Read a UUID in any spelling. Raises `ValueError`."""
    if not _UUID.match(text):
        raise ValueError("is not a UUID (RFC 9562)")
    return UUID(text)


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an IPv4 or IPv6 address; an IPv4 address in the form of IPv6 is that IPv4 address. Raises `ValueError`."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
