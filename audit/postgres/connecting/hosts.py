"""Connections to the host, of several, that led to the right server last: others may be gone, and cost seconds each.

libpq tries hosts in the order that it is given, and waits `connect_timeout` for one that is silent.
"""

from typing import Any, Self

import psycopg

from audit.postgres.connecting.reasons import explained

_last: dict[tuple[str, str], tuple[str, str]] = {}


class FollowingConnection(psycopg.Connection[Any]):
    """A connection to one of several hosts, the one of last time first."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """As psycopg's own. Raises its errors, with what helps, once no host leads to a server that is wanted."""
        try:
            return cls._to_one_of(conninfo, options)
        except psycopg.OperationalError as error:
            raise explained(error) from error

    @classmethod
    def _to_one_of(cls, conninfo: str, options: dict[str, Any]) -> Self:
        key = (str(options.get("host", "")), str(options.get("port", "")))
        if "," not in key[0] or "hostaddr" in options:
            return super().connect(conninfo, **options)
        connection = super().connect(conninfo, **options | in_order(*key))
        _last[key] = (connection.info.host, str(connection.info.port))
        return connection


def in_order(hosts: str, ports: str) -> dict[str, str]:
    """Return `host` and `port` for libpq, with the pair of the last connection first."""
    pairs = list(zip(hosts.split(","), _each(ports, hosts.count(",") + 1), strict=True))
    pairs.sort(key=lambda pair: pair != _last.get((hosts, ports)))
    return {"host": ",".join(host for host, _ in pairs), "port": ",".join(port for _, port in pairs)}


def number(parameters: dict[str, Any]) -> int:
    """Return how many hosts there are to try."""
    return str(parameters.get("host", "")).count(",") + 1


def _each(ports: str, count: int) -> list[str]:
    given = [port or "5432" for port in ports.split(",")]
    return given * count if len(given) == 1 else given
