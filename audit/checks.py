"""System checks: does the live database hold what the repository promises?

They run at deployment and at the start of `make run` (`manage.py check --database default`), not before every
command: without PostgreSQL there is nothing to compare, and W001 says so.
"""

import importlib.util
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError

from audit.access.tokens import check as token_check
from audit.errors import KeyMissing, TokenFailed
from audit.imports import catalogue
from audit.imports.mapping import MappingInvalid
from audit.ledger import anchor
from audit.ledger import keys as ledger_keys
from audit.ledger import witnesses as log_witnesses
from audit.operations import SQL
from audit.postgres import durability, guards, sql
from audit.postgres.faults import headline
from audit.recovery import history
from audit.reports import packs

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _tables(*names: str) -> tuple[str, ...]:
    return tuple(f"audit_{name}" for name in names)


APPEND_ONLY = (
    *_tables("record", "leaf", "node", "checkpoint", "cosignature", "quarantine", "review"),
    *_tables("backup", "restoredrill", "crosslink", "eventschema"),
    *_tables("retentionrequest", "retentiondecision", "legalhold"),
    *_tables("erasable", "erasurerequest", "erasuredecision"),
)
# Tables that nothing but their triggers' conditions let anybody change.
GUARDED = (*APPEND_ONLY, *_tables("head", "purged", "erased"))
KEPT = (
    *_tables(
        "verification", "finding", "logresume", "discard", "episode", "gap", "manifest", "brokenpromise", "expectation"
    ),
    *_tables("unmet", "waiver", "export", "missedreview", "loss", "redactionrule", "erasurerule", "report"),
)
COUNTED = _tables("account", "passage", "promise", "rejection", "dayrecord")
# Who may do what with the records, their log, and what was found and decided; nobody else may do anything.
GRANTS = {
    **{table: {"audit_app": {"SELECT", "INSERT"}, "audit_reader": {"SELECT"}} for table in APPEND_ONLY},
    **{table: {"audit_app": {"SELECT", "INSERT", "UPDATE"}, "audit_reader": {"SELECT"}} for table in KEPT + COUNTED},
    **{
        table: {"audit_app": {"SELECT", "INSERT", "UPDATE"}, "audit_reader": {"SELECT"}}
        for table in _tables("head", "intent")
    },
    **{
        table: {"audit_app": {"SELECT"}, "audit_reader": {"SELECT"}}
        for table in _tables("purged", "purgerun", "purgecount", "purgemonth", "stray", "erased", "erasureprogress")
    },
    "audit_unsealed": {"audit_app": {"SELECT", "INSERT", "DELETE"}, "audit_reader": {"SELECT"}},
}
# The function of the triggers that refuse, and the file that has it.
REFUSES = ("audit_refuse_change", "0069_is_purged.sql")
# The function and the file of each table's trigger, where it is not that of all others.
MOVES_ON = {
    ("audit_head", "audit_no_change"): ("audit_head_moves_on", "0043_head.sql"),
    ("audit_erasable", "audit_no_change"): ("audit_erased_alone", "0070_erasable.sql"),
    ("audit_quarantine", "audit_no_change"): ("audit_quarantine_change", "0071_quarantine_beside.sql"),
}
# pg_trigger.tgtype of each: for each row before DELETE or UPDATE; for the statement before TRUNCATE.
TRIGGERS = {"audit_no_change": 1 | 2 | 8 | 16, "audit_no_truncate": 2 | 32}
# What decides about the log, and about what is removed or erased.
FUNCTIONS = {
    "audit_leaf_hash": "0003_log.sql",
    **dict.fromkeys(("audit_floor_since", "audit_retained_until", "audit_check_request"), "0053_policy.sql"),
    **dict.fromkeys(("audit_held", "audit_check_hold", "audit_check_decision"), "0054_holds.sql"),
    **dict.fromkeys(
        (
            *("audit_may_go", "audit_approved_plan", "audit_remove_alone"),
            *("audit_retention_state", "audit_purge_look", "audit_purge_detach"),
        ),
        "0055_purge.sql",
    ),
    **dict.fromkeys(("audit_is_purged", "audit_skip_purged"), "0069_is_purged.sql"),
    **dict.fromkeys(("audit_purge", "audit_purge_drop"), "0072_purge_values.sql"),
    **dict.fromkeys(("audit_note_purged", "audit_archived", "audit_holding_archives"), "0075_purge_archive.sql"),
    **dict.fromkeys(
        ("audit_erase", "audit_is_approved", "audit_may_be_erased", "audit_second_person"), "0070_erasable.sql"
    ),
    "audit_beside_left": "0071_quarantine_beside.sql",
}
MONTHS_AHEAD_LEAST = 2

_TRIGGERS = """
SELECT c.oid::regclass::text, t.tgname, t.tgenabled, t.tgtype, t.tgqual IS NOT NULL, p.prosrc
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
  AND (has_table_privilege(r.name, c.oid, privilege)
    OR (privilege IN ('INSERT', 'UPDATE') AND has_any_column_privilege(r.name, c.oid, privilege)))
"""
_ROLES = """
SELECT session_user, current_user, rolsuper, pg_has_role(session_user, 'audit_owner', 'MEMBER')
FROM pg_roles WHERE rolname = session_user
"""
# A statement that does not go by the id locks the parent, each partition and each index of them.
_LOCKS = """
SELECT current_setting('max_locks_per_transaction')::int * current_setting('max_connections')::int,
       count(*) + (SELECT count(*) FROM pg_index WHERE indrelid = ANY (array_agg(relid::oid)))
FROM pg_partition_tree('audit_record')
"""
# So many such statements at once the lock table must have room for.
STATEMENTS_AT_ONCE = 20
_PARTITIONS = """
SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'audit_record'::regclass AND relname ~ '^audit_record_[0-9]{4}_[0-9]{2}$'
  AND relname > 'audit_record_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
"""
# Its size first: nobody may read a partition by itself, and to look for its rows through the parent plans all months.
_DEFAULT_BYTES = "SELECT pg_relation_size('audit_record_default')"
_STRAYS = "SELECT EXISTS (SELECT FROM audit_record WHERE tableoid = 'audit_record_default'::regclass)"


def database(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    if not databases:
        return []
    try:
        return [
            *(message for table in GUARDED for message in triggers(table)),
            *(message for table in GRANTS for message in grants(table)),
            *functions(),
            *(_error(number, text) for number, text in guards.faults(GUARDED)),
            *roles(),
            *partitions(),
            *locks(),
            *durability.ask().findings,
        ]
    except DatabaseError as error:
        return [
            Warning(
                f"The database could not be checked: {headline(error)}.",
                hint="Start PostgreSQL, run `manage.py migrate`, then `manage.py check --database default`.",
                id="audit.W001",
            )
        ]


def triggers(table: str) -> Iterator[CheckMessage]:
    """The append-only triggers are on every partition, always enabled, and do what the repository says."""
    by_table: dict[str, dict[str, tuple[Any, ...]]] = {}
    for name, trigger, *state in sql.rows(_TRIGGERS, {"table": table}):
        by_table.setdefault(name, {})[trigger] = tuple(state)
    for name, live in by_table.items():
        for trigger, kind in TRIGGERS.items():
            enabled, fires, conditional, source = live.get(trigger, ("", 0, False, ""))
            if (enabled, fires, conditional) != ("A", kind, False):
                yield _error("E001", f"{name}: the trigger {trigger} is missing, not ENABLE ALWAYS or conditional.")
            elif source != body_of(*MOVES_ON.get((table, trigger), REFUSES)):
                yield _error("E002", f"{name}: the function of {trigger} is not the one of the repository.")


def grants(table: str) -> Iterator[CheckMessage]:
    """Each role has the rights of GRANTS, and nobody has one on a partition."""
    allowed = {(role, table, privilege) for role, rights in GRANTS[table].items() for privilege in rights}
    granted = set(sql.rows(_GRANTS, {"table": table}))
    for role, name, privilege in sorted(granted - allowed):
        yield _error("E003", f"The role {role} may {privilege} on {name}.")
    for role, name, privilege in sorted(allowed - granted):
        yield _error("E004", f"The role {role} may not {privilege} on {name}.")


def roles() -> Iterator[CheckMessage]:
    """Web and workers connect as a role that owns nothing; reads as one that writes nothing."""
    for alias, wanted in (("default", "audit_app"), ("reader", "audit_reader")):
        session, current, superuser, owner = sql.rows(_ROLES, using=alias)[0]
        if superuser or owner or session != current:
            variable = {"default": "DATABASE_URL", "reader": "DATABASE_READER_URL"}[alias]
            yield Error(
                f"{variable} connects as {session!r}, which can switch the protection of records off.",
                hint=f"Connect as {wanted}, with a password of its own (docs/deployment.md, Roles).",
                id="audit.E005",
            )


def partitions() -> Iterator[CheckMessage]:
    """Months ahead have their partition, and no record had to go to the default one."""
    if (ahead := sql.rows(_PARTITIONS)[0][0]) < MONTHS_AHEAD_LEAST:
        yield Warning(
            f"Only {ahead} months ahead have a partition; {settings.PARTITIONS_AHEAD} should.",
            hint="Is a worker running? `manage.py partitions` makes them now.",
            id="audit.W002",
        )
    if sql.rows(_DEFAULT_BYTES)[0][0] and sql.rows(_STRAYS)[0][0]:
        yield Warning(
            "Records lie in audit_record_default: their ids are older than the oldest partition.",
            hint="Nothing is lost. Events that were late by months do this; a wrong clock does it as well.",
            id="audit.W003",
        )


def locks() -> Iterator[CheckMessage]:
    """The lock table has room for searches that look into every month, several at once."""
    room, each = sql.rows(_LOCKS)[0]
    if room < each * STATEMENTS_AT_ONCE:
        yield Warning(
            f"A search locks {each:,} tables and indexes, and PostgreSQL has room for {room:,} locks in all: "
            f"from {room // each + 1} searches at once on they fail with 'out of shared memory'.",
            hint="Set max_locks_per_transaction = 512 in postgresql.conf, and restart it (docs/deployment.md).",
            id="audit.W009",
        )


def functions() -> Iterator[CheckMessage]:
    """Leaf hashes are computed, and records kept, held, removed and erased, as the repository says."""
    live: dict[str, list[str]] = {}
    for name, body in sql.rows("SELECT proname, prosrc FROM pg_proc WHERE proname = ANY(%s)", [list(FUNCTIONS)]):
        live.setdefault(name, []).append(body)
    for name, file in FUNCTIONS.items():
        if live.get(name) != [body_of(name, file)]:
            yield _error(
                "E002", f"The function {name} is not the one of the repository, or there is another of its name."
            )


def seal_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """There is a key of the log, and it is not the one that everybody knows."""
    hint = "Make one with `manage.py sealkey create`, and set SEAL_KEY_FILE and SEAL_PUBLIC_KEYS_FILE."
    try:
        keys = ledger_keys.load()
    except KeyMissing as error:
        return [Error(str(error), hint=hint, id="audit.E006")]
    if not settings.DEBUG and ledger_keys.DEVELOPMENT.verifier in keys.verifiers:
        return [Error("The log is signed with the development key, which everybody knows.", hint=hint, id="audit.E007")]
    return []


def seal_token(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Where the key of the log is in a token, the token signs with it. With --deploy alone: it costs a login."""
    try:
        signer = ledger_keys.load().signer
        if signer is not None and not signer.is_at_hand:
            signer.sign(ledger_keys.TRIAL)
    except TokenFailed as error:
        hint = "docs/rotation.md, In a token: until it signs, events are stored and nothing is sealed."
        return [Error(str(error), hint=hint, id="audit.E015")]
    except KeyMissing:
        pass  # E006
    return []


def control_packs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every pack of controls can be read."""
    try:
        packs.load()
    except packs.UnreadablePack as error:
        return [Error(f"A pack of controls cannot be read: {error}.", hint="docs/reports.md", id="audit.E011")]
    return []


def mappings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every mapping of imports can be read."""
    try:
        catalogue.every()
    except MappingInvalid as error:
        hint = "docs/imports.md, A mapping of your own: until then nothing is imported."
        return [Error(f"A mapping cannot be used: {error}.", hint=hint, id="audit.E021")]
    return []


def receipt_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Receipts can be signed, or at least verified by a process that signs none."""
    hint = "Make one with `manage.py receiptkey create`, and set RECEIPT_KEY_FILE and RECEIPT_PUBLIC_KEYS_FILE."
    if not any(getattr(settings, f"RECEIPT_{name}") for name in ("KEY", "KEY_FILE", "PUBLIC_KEYS", "PUBLIC_KEYS_FILE")):
        return [Warning("Receipts are not signed: there is no key of theirs.", hint=hint, id="audit.W005")]
    try:
        ledger_keys.receipts()
    except KeyMissing as error:
        return [Error(str(error), hint=hint, id="audit.E009")]
    return []


def outside_trust(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Witnesses can be read, and there is an anchor or a witness at all."""
    try:
        witnesses = log_witnesses.witnesses()
    except ValueError as error:
        return [
            Error(f"SEAL_WITNESSES cannot be read: {error}.", hint="URL=KEY, separated by commas.", id="audit.E008")
        ]
    if witnesses or anchor.has_anchor():
        return []
    hint = "Set SEAL_WITNESSES, SEAL_ANCHOR_FILE or SEAL_ANCHOR_DIR: without them the operator has to be trusted."
    return [Warning("Checkpoints go to no witness and no anchor.", hint=hint, id="audit.W004")]


def export_folder(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Evidence bundles have a folder that this process may write to; web processes and workers are each asked."""
    if settings.EXPORT_DIR is None:
        hint = "Set EXPORT_DIR to a folder that web processes and workers share."
        return [Warning("No evidence bundles are made here: EXPORT_DIR is not set.", hint=hint, id="audit.W006")]
    if Path(settings.EXPORT_DIR).is_dir() and os.access(settings.EXPORT_DIR, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"EXPORT_DIR {settings.EXPORT_DIR} is no folder that this process may write to.",
            hint="Make it, give it to the user that web and worker run as, and mount the same one into both.",
            id="audit.E010",
        )
    ]


def backups(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """A backup was made lately."""
    if not databases or not settings.BACKUP_HOURS:
        return []
    try:
        last = history.last_backup()
    except DatabaseError:
        return []  # W001 says so
    since = datetime.now(UTC) - timedelta(hours=settings.BACKUP_HOURS)
    if last is not None and last.began_at >= since:
        return []
    when = (
        "No backup was ever made" if last is None else f"The last backup was begun at {last.began_at:%Y-%m-%d %H:%M}Z"
    )
    hint = "Run `manage.py backup FOLDER` by a timer (docs/operations.md, Backup), or set BACKUP_HOURS=0."
    return [Warning(f"{when}: what came since is lost with the disk.", hint=hint, id="audit.W010")]


def tokens(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Tokens in place of keys can be checked, and by public keys alone."""
    if not settings.JWT_ISSUER:
        return []
    faults = []
    if importlib.util.find_spec("jwt") is None:
        faults.append("JWT_ISSUER is set, and PyJWT is not installed: install auditsite[jwt].")
    if not settings.JWT_AUDIENCE:
        faults.append("JWT_AUDIENCE is empty: any token of the issuer would do, whomever it is meant for.")
    if secret := set(settings.JWT_ALGORITHMS) - set(token_check.ALGORITHMS):
        faults.append(f"JWT_ALGORITHMS has {', '.join(sorted(secret))}: take of {', '.join(token_check.ALGORITHMS)}.")
    address = urlsplit(settings.JWT_JWKS_URL)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        faults.append("JWT_JWKS_URL must be https: who answers in its place could sign as anybody.")
    return [Error(fault, hint="docs/access.md, Tokens", id="audit.E020") for fault in faults]


def traces(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Traces that are asked for are made."""
    if not settings.TRACES_ASKED or settings.TRACING:
        return []
    text = "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and there are none: install auditsite[otel], or unset it."
    return [Warning(text, hint="docs/operations.md, Traces", id="audit.W021")]


def body_of(function: str, file: str) -> str:
    """The body of a function as the repository has it."""
    text = (SQL / file).read_text(encoding="utf-8")
    match = re.search(rf"FUNCTION {function}\(.*?\$body\$(.*?)\$body\$", text, re.DOTALL)
    assert match is not None
    return match[1]


def _error(number: str, text: str) -> Error:
    hint = "Somebody changed the live database: find out who, then run `manage.py migrate` or restore it."
    return Error(text, hint=hint, id=f"audit.{number}")
