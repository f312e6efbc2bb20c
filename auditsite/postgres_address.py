"""Read the address of a PostgreSQL by libpq's own rules: `postgresql://user:password@host1:5432,host2:5432/name?...`.

With several hosts it must lead to the one that takes writes, whichever that is at the time.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SCHEMES = ("postgresql://", "postgres://")
# The values of `target_session_attrs` that lead to a server that takes writes.
PRIMARY = ("read-write", "primary")
# Those that lead to a replica; the first is taken by itself.
STANDBY = ("prefer-standby", "standby")
# So long a statement of web processes and workers may take, and one of the reader: what the settings are by themselves.
WEB_STATEMENT_TIMEOUT_MS, READER_STATEMENT_TIMEOUT_MS = 30_000, 5_000
REPLICA = "DATABASE_REPLICA_URL"
# The addresses that lead to a pooler with DATABASE_POOLED.
POOLED = ("DATABASE_URL", "DATABASE_READER_URL")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
ENCODED = "in a user or a password write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %"


def read(name: str, url: str) -> dict[str, str]:
    """Return the parameters of libpq that the address in the variable `name` gives.

    With several hosts `target_session_attrs` is `read-write` unless it is `primary`; of a replica `prefer-standby` or
    `standby`. Raises `ImproperlyConfigured`,
    which quotes nothing of the address: what libpq cannot read may be a piece of a password.
    """
    if not url.startswith(SCHEMES):
        raise ImproperlyConfigured(f"{name} must begin with postgresql:// (docs/connections.md).")
    try:
        given = conninfo_to_dict(url)
    except (ProgrammingError, ValueError):
        raise ImproperlyConfigured(
            f"{name} is no address that PostgreSQL's client can read: {ENCODED}; of its parameters see "
            "docs/connections.md."
        ) from None
    parts = {key: str(value) for key, value in given.items() if value is not None}
    if parts.get("sslmode", SSL_MODES[0]) not in SSL_MODES:
        raise ImproperlyConfigured(f"{name} has an sslmode that is none of {', '.join(SSL_MODES)}: set verify-full.")
    hosts = parts.get("host", parts.get("hostaddr", "")).split(",")
    _check_ports(name, parts.get("port", "").split(","), len(hosts))
    allowed = STANDBY if name == REPLICA else PRIMARY
    if len(hosts) > 1 and parts.setdefault("target_session_attrs", allowed[0]) not in allowed:
        what = "the primary" if name == REPLICA else "a server that takes no writes, or shows what was"
        raise ImproperlyConfigured(
            f"{name} has several hosts and target_session_attrs={parts['target_session_attrs']}: it would lead to "
            f"{what}. Set {allowed[0]}, or leave it out."
        )
    return parts


def of_libpq(name: str, url: str) -> str:
    """Return what `read` finds in the address as one text for libpq; "" for an empty one. Raises as `read` does."""
    return make_conninfo("", **read(name, url)) if url else ""


def django_settings(parts: dict[str, str], options: str, statement_timeout_ms: int) -> dict[str, Any]:
    """Return Django's settings for the address that `read` gave. The address's own `options` come first: ours hold."""
    left = dict(parts)
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
    config: dict[str, Any] = {key: left.pop(part, "") for key, part in names.items()}
    config |= {"ENGINE": "audit.postgres.backend", "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    config["OPTIONS"] = {"application_name": "auditsite"} | left
    if options := f"{left.get('options', '')} {options}".strip():
        config["OPTIONS"]["options"] = options
    if statement_timeout_ms:
        config["OPTIONS"]["patience"] = statement_timeout_ms / 1000 + 1
    return config


def _check_ports(name: str, ports: list[str], hosts: int) -> None:
    if not all(port == "" or (port.isdecimal() and 0 < int(port) < 65536) for port in ports):
        raise ImproperlyConfigured(f"{name} has a port that is no number from 1 to 65535; {ENCODED}.")
    if len(ports) not in (1, hosts):
        raise ImproperlyConfigured(f"{name} has {hosts} hosts and {len(ports)} ports: give each its own, or all one.")
