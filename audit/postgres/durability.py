"""Would this PostgreSQL keep what it has confirmed, and on how many servers? What *stored* means here."""

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from audit.errors import Unavailable
from audit.postgres.gateway import gateway

TRUSTED_FOR_S = 5.0
TIMEOUT_S = 0.5
# Ours are forced on every connection; what a role or a database sets for itself holds for all others.
GUARDED = ("synchronous_commit", "fsync", "full_page_writes")
_SETTINGS = b"""
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
       current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)
"""
_OF_ROLES = b"""
SELECT coalesce(r.rolname, 'every role'), coalesce(d.datname, 'every database'), setting
FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) setting
LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE (s.setdatabase = 0 OR d.datname = current_database()) AND split_part(setting, '=', 1) = ANY(%s)
  AND split_part(setting, '=', 2) IN ('off', 'local', 'remote_write', 'false', '0', 'no')
"""


class Durability(NamedTuple):
    findings: tuple[CheckMessage, ...]
    # What a 201 promises, such as "on this server's disk"; "" where it could not be asked.
    stored_means: str

    @property
    def ok(self) -> bool:
        return not self.findings


def durability() -> Durability:
    """Ask PostgreSQL over a connection of recording, at most every few seconds in each process."""
    global _last
    now = time.monotonic()
    if _last is None or now - _last[0] > TRUSTED_FOR_S:
        _last = (now, ask())
    return _last[1]


def forget() -> None:
    global _last
    _last = None


_last: tuple[float, Durability] | None = None


def ask() -> Durability:
    """Ask PostgreSQL now; no findings where it does not answer, for others tell of that."""
    try:
        with gateway().connection(TIMEOUT_S) as connection:
            row = connection.execute(_SETTINGS).fetchone()
            of_roles = connection.execute(_OF_ROLES, (list(GUARDED),)).fetchall()
    except (psycopg.Error, Unavailable):
        return Durability((), "")
    assert row is not None
    fsync, full_page_writes, synchronous_commit, standbys, connected = row
    findings = (
        *_of_server(fsync, full_page_writes, synchronous_commit),
        *_of_roles(of_roles),
        *_of_standbys(standbys, connected),
    )
    return Durability(findings, _meaning(fsync, synchronous_commit, standbys))


def _of_server(fsync: str, full_page_writes: str, synchronous_commit: str) -> Iterator[CheckMessage]:
    if fsync != "on":
        hint = "Set `fsync = on` in postgresql.conf, and restart: a crash can lose or damage all that is stored."
        yield Error("PostgreSQL does not flush to its disk: fsync is off.", hint=hint, id="audit.E012")
    if full_page_writes != "on":
        hint = "Set `full_page_writes = on`; silence this only on a file system that writes pages as a whole (ZFS)."
        yield Error("A power loss can tear pages of PostgreSQL: full_page_writes is off.", hint=hint, id="audit.E013")
    if synchronous_commit != settings.SYNCHRONOUS_COMMIT:
        yield Error(
            f"Recording has synchronous_commit={synchronous_commit}, not {settings.SYNCHRONOUS_COMMIT}.",
            hint="Something between drops the startup parameter `options`: a pooler such as PgBouncer. With "
            f"DATABASE_POOLED the role must have it: ALTER ROLE audit_app SET synchronous_commit = "
            f"{settings.SYNCHRONOUS_COMMIT} (`python -m auditsite.roles` does it).",
            id="audit.E014",
        )


def _of_roles(rows: list[tuple[str, str, str]]) -> Iterator[CheckMessage]:
    for role, database, setting in rows:
        yield Warning(
            f"{role} in {database} has {setting}: what it writes may be confirmed before it is on a disk.",
            hint=f"ALTER ROLE or DATABASE ... RESET {setting.partition('=')[0]}. The site overrides it; others do not.",
            id="audit.W007",
        )


def _of_standbys(names: str, connected: int) -> Iterator[CheckMessage]:
    if connected and not names.strip():
        yield Warning(
            f"{connected} standby is connected, and none is synchronous: a failover loses the last events stored.",
            hint="Set synchronous_standby_names (docs/deployment.md, What stored means).",
            id="audit.W008",
        )


def _meaning(fsync: str, synchronous_commit: str, standbys: str) -> str:
    if fsync != "on" or synchronous_commit == "off":
        return "in this server's memory"
    if not standbys.strip() or synchronous_commit == "local":
        return "on this server's disk"
    number = re.match(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", standbys, re.IGNORECASE)
    servers = 1 + (int(number[1]) if number else 1)
    applied = ", and can be read there" if synchronous_commit == "remote_apply" else ""
    return f"on {'two' if servers == 2 else servers} servers{applied}"


def facts() -> dict[str, Any]:
    """For /readyz: what *stored* means, and what is wrong."""
    now = durability()
    findings = [f"{finding.id}: {finding.msg}" for finding in now.findings]
    return {"stored_means": now.stored_means, "durable": now.ok, **({"findings": findings} if findings else {})}
