"""The three roles and the database, as an administrator of the server makes them.

python -m auditsite.roles     reads DATABASE_ADMIN_URL and the three DATABASE_*URLs, and makes what they name;
                              of DATABASE_BACKUP_URL, where it is given, the role that backs up;
                              with DATABASE_POOLED the roles get the settings that a pooler drops
"""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from environs import Env
from psycopg import sql

from audit.postgres.connecting.hosts import FollowingConnection
from auditsite import postgres_address

ROLES = {
    "DATABASE_URL": "audit_app",
    "DATABASE_OWNER_URL": "audit_owner",
    "DATABASE_READER_URL": "audit_reader",
}
"""The variable that holds each role's address: the application appends, the owner migrates, the reader looks."""


BACKUP_ROLE = "audit_backup"
"""Copies PostgreSQL, where DATABASE_BACKUP_URL is given."""


def create_database(admin_url: str, name: str, passwords: dict[str, str] | None = None) -> dict[str, str]:
    """Make the roles and the database `name` where they are missing; return each role's address.

    `passwords` maps role to password; without it the roles log in as the server lets them.
    """
    with _connected(admin_url) as admin:
        for role in ROLES.values():
            _create_role(admin, role, (passwords or {}).get(role))
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            # An administrator that is no superuser must be a member of the role that it gives something to.
            admin.execute(sql.SQL("GRANT audit_owner TO CURRENT_USER"))
            # In the collation C an index finds beginnings of texts, and no update of the system's locales breaks one.
            made = "CREATE DATABASE {} OWNER audit_owner TEMPLATE template0 ENCODING 'UTF8' "
            made += "LOCALE_PROVIDER libc LOCALE 'C'"
            admin.execute(sql.SQL(made).format(sql.Identifier(name)))
    with _connected(_with(admin_url, database=name)) as admin:
        _restrict(admin, name)
    return {
        variable: _with(admin_url, database=name, role=role, password=(passwords or {}).get(role))
        for variable, role in ROLES.items()
    }


def set_for_pooler(admin_url: str, name: str, timeouts_ms: dict[str, int], synchronous_commit: str) -> None:
    """Give roles what connections through a pooler cannot ask for; `timeouts_ms` maps role to its statements' time."""
    with _connected(admin_url) as admin:
        for role, timeout_ms in timeouts_ms.items():
            for setting, value in (("statement_timeout", str(timeout_ms)), ("synchronous_commit", synchronous_commit)):
                change = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
                names = map(sql.Identifier, (role, name, setting))
                admin.execute(change.format(*names, sql.Literal(value)))


def create_backup_role(admin_url: str, password: str | None) -> None:
    """Make the role that `manage.py backup` copies PostgreSQL as. The administrator must be able to replicate."""
    with _connected(admin_url) as admin:
        _create_role(admin, BACKUP_ROLE, password)
        admin.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(sql.Identifier(BACKUP_ROLE)))


def _connected(url: str) -> psycopg.Connection[Any]:
    """As the administrator, on the host that takes writes."""
    parts: dict[str, Any] = postgres_address.read("The administrator's address", url)
    return FollowingConnection.connect(**parts, autocommit=True)


def _create_role(admin: psycopg.Connection[Any], role: str, password: str | None) -> None:
    known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    secret = sql.SQL("PASSWORD {}").format(sql.Literal(_verifier(admin, role, password))) if password else sql.SQL("")
    admin.execute(
        sql.SQL("{} ROLE {} LOGIN NOCREATEDB NOCREATEROLE NOINHERIT {}").format(verb, sql.Identifier(role), secret)
    )


def _verifier(admin: psycopg.Connection[Any], role: str, password: str) -> str:
    """What the server stores of a password, made here as psql's \\password does: its log may have the statement."""
    return admin.pgconn.encrypt_password(password.encode(), role.encode()).decode()


def _restrict(admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute("ALTER SCHEMA public OWNER TO audit_owner")
    admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    admin.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO audit_owner, audit_app, audit_reader").format(sql.Identifier(name))
    )


def _with(url: str, *, database: str, role: str | None = None, password: str | None = None) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")
    who = f"{role}:{quote(password, safe='')}" if role and password else role or place[0]
    return urlunsplit(parts._replace(netloc=f"{who}@{place[2]}", path=f"/{database}"))


def main() -> int:
    """For a service that runs once before all others, as in docker-compose.yml."""
    env = Env()
    admin_url = _secret(env, "DATABASE_ADMIN_URL")
    addresses = {variable: postgres_address.read(variable, _secret(env, variable)) for variable in ROLES}
    passwords = {ROLES[variable]: parts.get("password", "") for variable, parts in addresses.items()}
    name = addresses["DATABASE_OWNER_URL"].get("dbname", "")
    create_database(admin_url, name, passwords)
    if env.bool("DATABASE_POOLED", False):
        timeouts_ms = {
            "audit_app": env.int("WEB_STATEMENT_TIMEOUT_MS", postgres_address.WEB_STATEMENT_TIMEOUT_MS),
            "audit_reader": env.int("READER_STATEMENT_TIMEOUT_MS", postgres_address.READER_STATEMENT_TIMEOUT_MS),
        }
        set_for_pooler(admin_url, name, timeouts_ms, env.str("SYNCHRONOUS_COMMIT", "on"))
    if any(f"DATABASE_BACKUP_URL{end}" in os.environ for end in ("", "_FILE")):
        backup = postgres_address.read("DATABASE_BACKUP_URL", _secret(env, "DATABASE_BACKUP_URL"))
        create_backup_role(admin_url, backup.get("password"))
    print(f"The database {name} and the roles {', '.join(ROLES.values())} are there.")
    return 0


def _secret(env: Env, name: str) -> str:
    if path := env.str(f"{name}_FILE", None):
        return Path(path).read_text(encoding="utf-8").strip()
    return str(env.str(name))


if __name__ == "__main__":
    sys.exit(main())
