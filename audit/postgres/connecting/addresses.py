"""addresses: can the files of TLS that addresses of PostgreSQL name be read, and who answers there?

System checks of what web processes and workers connect by; the owner's files may be where migrations run alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError, connections

from audit.postgres import replica

VARIABLES = {"default": "DATABASE_URL", "reader": "DATABASE_READER_URL"}
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# The system's own authorities; a key that a module of OpenSSL keeps.
NO_FILE = ("system", "engine:", "pkcs11:")
PAIRS = {"sslcert": "sslkey", "sslkey": "sslcert"}
ROLES = {"default": "audit_app", "reader": "audit_reader"}
POOLED = "docs/connections.md, PgBouncer"


def addresses(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Look at the addresses, and at what answers there, if anything does."""
    if not databases:
        return []
    named = VARIABLES | ({replica.ALIAS: "DATABASE_REPLICA_URL"} if replica.is_configured() else {})
    of_tls = [message for alias, variable in named.items() for message in _of_tls(variable, _options(alias))]
    try:
        return [*of_tls, *(message for alias in VARIABLES for message in _of_pooler(alias)), *_of_replica()]
    except DatabaseError:
        return of_tls  # W001 says so


def is_pooled(alias: str) -> bool:
    """Whether something between gives out its own connections: to a client, a pooler makes up the server's process.

    Raises database errors.
    """
    database = connections[alias]
    database.ensure_connection()
    return bool(_server_process(database) != database.connection.info.backend_pid)


def _server_process(database: Any) -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _of_pooler(alias: str) -> Iterator[CheckMessage]:
    variable, pooled = VARIABLES[alias], is_pooled(alias)
    if pooled and not settings.DATABASE_POOLED:
        if _shares_sessions(alias):
            yield Error(
                f"{variable} leads to a pooler in transaction mode, and DATABASE_POOLED is not set: what is prepared, "
                "set or locked for a session is another's.",
                hint=f"Set DATABASE_POOLED=true, or give the address of PostgreSQL itself ({POOLED}).",
                id="audit.E031",
            )
        else:
            yield Warning(
                f"{variable} leads to a pooler, and DATABASE_POOLED is not set.",
                hint=f"Only in session mode nothing else is needed: set DATABASE_POOLED=true for any other ({POOLED}).",
                id="audit.W031",
            )
    if settings.DATABASE_POOLED:
        yield from _of_timeout(alias)


def _of_replica() -> Iterator[CheckMessage]:
    if replica.is_configured() and not (source := replica.look(replica.SHOWN_WAIT_S)).is_replica:
        yield Warning(
            f"Nothing is read from the replica: {source.why}.",
            hint="Is DATABASE_REPLICA_URL the address of a streaming replica of this store, as audit_reader "
            "(docs/connections.md, A replica for pages)?",
            id="audit.W033",
        )


def _shares_sessions(alias: str) -> bool:
    """Whether a session that one client has used is given to another, while both are connected.

    It is where no other took it meanwhile: False means that it was not seen.
    """
    first, second = connections[alias].copy(), connections[alias].copy()
    try:
        process = _server_process(first)
        second.set_autocommit(False)
        return _server_process(second) == process
    finally:
        second.close()
        first.close()


def _of_timeout(alias: str) -> Iterator[CheckMessage]:
    wanted_ms = {"default": settings.WEB_STATEMENT_TIMEOUT_MS, "reader": settings.READER_STATEMENT_TIMEOUT_MS}[alias]
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")
        [(set_ms,)] = cursor.fetchall()
    if int(set_ms) != wanted_ms:
        yield Warning(
            f"Statements of {VARIABLES[alias]} may take {set_ms} ms (0: for ever) behind the pooler, not {wanted_ms}.",
            hint=f"Run `python -m auditsite.roles` with DATABASE_POOLED=true, or ALTER ROLE {ROLES[alias]} SET "
            f"statement_timeout = {wanted_ms}; connections that the pooler has keep what they have.",
            id="audit.W032",
        )


def _options(alias: str) -> dict[str, Any]:
    options: dict[str, Any] = connections.settings[alias]["OPTIONS"]
    return options


def _of_tls(variable: str, options: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in FILES:
        file = str(options.get(name, ""))
        if file and not file.startswith(NO_FILE) and not (Path(file).is_file() and os.access(file, os.R_OK)):
            yield Error(
                f"{variable} has {name}={file}, which is no file that this process may read.",
                hint="Mount it, and give it to the user that the site runs as.",
                id="audit.E030",
            )
        if name in PAIRS and file and not options.get(PAIRS[name]):
            yield Error(
                f"{variable} has {name} and no {PAIRS[name]}.",
                hint="A client's certificate and its key belong together: name both files, or none.",
                id="audit.E030",
            )
    if options.get("sslmode") == "require" and not options.get("sslrootcert"):
        yield Warning(
            f"{variable} has sslmode=require and no sslrootcert: what answers there may be anybody.",
            hint="Set sslmode=verify-full, and in sslrootcert the file of the authority of the server's certificate.",
            id="audit.W030",
        )
