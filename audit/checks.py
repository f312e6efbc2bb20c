"""System checks: does the live database hold what the repository promises?

They run at deployment and at the start of `make run` (`manage.py check --database default`), not before every
command: without PostgreSQL there is nothing to compare, and W001 says so.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.operations import SQL

APPEND_ONLY = ("audit_record",)
MONTHS_AHEAD_LEAST = 2

_TRIGGERS = """
SELECT c.oid::regclass::text, t.tgname, t.tgenabled, p.proname, p.prosrc
FROM pg_class c
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
LEFT JOIN pg_proc p ON p.oid = t.tgfoid
WHERE c.oid = %(table)s::regclass
   OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)
"""
_GRANTS = """
SELECT r.name, c.oid::regclass::text, privilege
FROM (VALUES ('audit_app'), ('audit_reader')) r(name),
     pg_class c,
     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) privilege
WHERE (c.oid = %(table)s::regclass
   OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass))
  AND has_table_privilege(r.name, c.oid, privilege)
"""
_ROLES = """
SELECT session_user, current_user, rolsuper, pg_has_role(session_user, 'audit_owner', 'MEMBER')
FROM pg_roles WHERE rolname = session_user
"""
_PARTITIONS = """
SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'audit_record'::regclass AND relname ~ '^audit_record_[0-9]{4}_[0-9]{2}$'
  AND relname > 'audit_record_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
"""
_STRAYS = "SELECT EXISTS (SELECT FROM audit_record WHERE tableoid = 'audit_record_default'::regclass)"


def database(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Compare the live database with the repository."""
    if not databases:
        return []
    try:
        return [
            *(found for table in APPEND_ONLY for found in triggers(table)),
            *(found for table in APPEND_ONLY for found in grants(table)),
            *roles(),
            *partitions(),
        ]
    except DatabaseError as error:
        return [
            Warning(
                f"The database could not be checked: {type(error).__name__}.",
                hint="Start PostgreSQL, run `manage.py migrate`, then `manage.py check --database default`.",
                id="audit.W001",
            )
        ]


def triggers(table: str) -> Iterator[CheckMessage]:
    """The append-only triggers are on every partition, always enabled, and do what the repository says."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for name, trigger, enabled, _function, source in _rows(_TRIGGERS, table=table):
        found.setdefault(name, {})[trigger] = (enabled, source)
    for name, live in found.items():
        for trigger in ("audit_no_change", "audit_no_truncate"):
            enabled, source = live.get(trigger, ("", ""))
            if enabled != "A":
                yield _error("E001", f"{name}: the trigger {trigger} is missing or not ENABLE ALWAYS.")
            elif source != refusal_source():
                yield _error("E002", f"{name}: the function of {trigger} is not the one of the repository.")


def grants(table: str) -> Iterator[CheckMessage]:
    """The application may SELECT and INSERT, the reader SELECT; nobody has a right on a partition."""
    allowed = {
        ("audit_app", table, "SELECT"),
        ("audit_app", table, "INSERT"),
        ("audit_reader", table, "SELECT"),
    }
    found = set(_rows(_GRANTS, table=table))
    for role, name, privilege in sorted(found - allowed):
        yield _error("E003", f"The role {role} may {privilege} on {name}.")
    for role, name, privilege in sorted(allowed - found):
        yield _error("E004", f"The role {role} may not {privilege} on {name}.")


def roles() -> Iterator[CheckMessage]:
    """Web and workers connect as a role that owns nothing; reads as one that writes nothing."""
    for alias, wanted in (("default", "audit_app"), ("reader", "audit_reader")):
        session, current, superuser, owner = _rows(_ROLES, connections[alias])[0]
        if superuser or owner or session != current:
            variable = {"default": "DATABASE_URL", "reader": "DATABASE_READER_URL"}[alias]
            yield Error(
                f"{variable} connects as {session!r}, which can switch the protection of records off.",
                hint=f"Connect as {wanted}, with a password of its own (docs/deployment.md, Roles).",
                id="audit.E005",
            )


def partitions() -> Iterator[CheckMessage]:
    """Months ahead have their partition, and no record had to go to the default one."""
    if (ahead := _rows(_PARTITIONS)[0][0]) < MONTHS_AHEAD_LEAST:
        yield Warning(
            f"Only {ahead} months ahead have a partition; {settings.PARTITIONS_AHEAD} should.",
            hint="Is a worker running? `manage.py partitions` makes them now.",
            id="audit.W002",
        )
    if _rows(_STRAYS)[0][0]:
        yield Warning(
            "Records lie in audit_record_default: their ids are older than the oldest partition.",
            hint="Nothing is lost. Events that were late by months do this; a wrong clock does it as well.",
            id="audit.W003",
        )


def refusal_source() -> str:
    """The body of audit_refuse_change() as the repository has it."""
    text = (SQL / "0002_append_only.sql").read_text(encoding="utf-8")
    match = re.search(r"FUNCTION audit_refuse_change\(\).*?\$body\$(.*?)\$body\$", text, re.DOTALL)
    assert match is not None
    return match[1]


def _rows(sql: str, connection: BaseDatabaseWrapper | None = None, **parameters: Any) -> list[tuple[Any, ...]]:
    with (connection or connections["default"]).cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def _error(number: str, text: str) -> Error:
    hint = "Somebody changed the live database: find out who, then run `manage.py migrate` or restore it."
    return Error(text, hint=hint, id=f"audit.{number}")
