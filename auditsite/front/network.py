"""The network that one client has to itself."""

from ipaddress import IPv6Address, ip_address


def network_of(address: str) -> IPv6Address:
    """Return one name for all addresses of a client: its IPv4 address, mapped, or the /64 of its IPv6 address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return IPv6Address(1)
    if parsed.version == 4:
        return IPv6Address(f"::ffff:{parsed}")
    if parsed.ipv4_mapped is not None:
        return parsed
    return IPv6Address(int(parsed) >> 64 << 64)
