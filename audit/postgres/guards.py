"""guards: is what decides about removal in the live database as the repository says, besides functions and rights?

Whoever owns the tables can also leave a trigger disabled, add one, put another view in the place of a view, or hide
rows: then a purge would go by other floors, or see no holds. What is found here is told by the system checks.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from audit.operations import SQL
from audit.postgres import sql


class Trigger(NamedTuple):
    """What PostgreSQL says of a trigger: its function, when it is enabled, when it fires, whether by a condition."""

    function: str
    enabled: str = "A"
    # pg_trigger.tgtype: for each row before INSERT.
    fires: int = 1 | 2 | 4
    conditional: bool = False


AFTER_INSERT = 1 | 4
# On all append-only tables; audit.checks says how they must be.
REFUSALS = {"audit_no_change", "audit_no_truncate"}
TRIGGERS = {
    "audit_record": {
        "audit_stray": Trigger("audit_note_stray", "O", AFTER_INSERT, conditional=True),
        "audit_purged": Trigger("audit_skip_purged", "O", conditional=True),
    },
    "audit_retentionrequest": {"audit_check": Trigger("audit_check_request")},
    "audit_retentiondecision": {"audit_check": Trigger("audit_check_decision")},
    "audit_legalhold": {"audit_check": Trigger("audit_check_hold")},
    "audit_erasuredecision": {"audit_second_person": Trigger("audit_second_person")},
    "audit_erased": {"audit_may_be_erased": Trigger("audit_may_be_erased")},
}
VIEWS = {"audit_floor": "0053_policy.sql", "audit_holdrelease": "0054_holds.sql"}
_TABLES = """
WITH tables (id, of) AS (
    SELECT oid, relname FROM pg_class WHERE oid = ANY (%s::text[]::regclass[])
    UNION ALL
    SELECT i.inhrelid, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
    WHERE c.oid = 'audit_record'::regclass
)
"""
_TRIGGERS = f"""{_TABLES}
SELECT tables.of, c.relname, t.tgname, p.proname, t.tgenabled, t.tgtype, t.tgqual IS NOT NULL
FROM tables JOIN pg_class c ON c.oid = tables.id
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal LEFT JOIN pg_proc p ON p.oid = t.tgfoid
"""
_CHANGED = f"""{_TABLES}
SELECT c.relname FROM tables JOIN pg_class c ON c.oid = tables.id
WHERE c.relrowsecurity OR c.relforcerowsecurity OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid)
"""
_VIEWS = """
SELECT relname, pg_get_viewdef(oid) FROM pg_class
WHERE relname = ANY (%s) AND relkind = 'v' AND relnamespace = 'public'::regnamespace
"""
# What PostgreSQL adds to the text of a view, each version its own way: casts, aliases, brackets, spaces.
_ADDED = re.compile(r"::[a-z ]+?(?=\W)|\b[a-z]\.|[\s();]")


def faults(tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the id of the check that is not passed, and what is wrong, for these append-only tables and all months."""
    yield from _faults_of_triggers(tables)
    for (table,) in sql.rows(_CHANGED, [list(tables)]):
        yield "E001", f"{table}: row security or a rule changes what is read from it, or what is written to it."
    live = dict(sql.rows(_VIEWS, [list(VIEWS)]))
    for view, file in VIEWS.items():
        if _plain(live.get(view, "")) != _plain(_text_of(view, file)):
            yield "E002", f"The view {view} is not the one of the repository."


def _faults_of_triggers(tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    live: dict[tuple[str, str], dict[str, Trigger]] = {}
    for of, table, name, *state in sql.rows(_TRIGGERS, [list(tables)]):
        live.setdefault((of, table), {})[name] = Trigger(*state)
    for (of, table), there in sorted(live.items()):
        wanted = TRIGGERS.get(of, {})
        for name, trigger in wanted.items():
            if there.get(name) != trigger:
                yield "E001", f"{table}: the trigger {name} is missing, disabled, or another one."
        for name in sorted(there.keys() - wanted.keys() - REFUSALS - {None}):
            yield "E001", f"{table}: the trigger {name} is not of the repository."


def _text_of(view: str, file: str) -> str:
    found = re.search(rf"CREATE VIEW {view} AS\n(.*?);\n", (SQL / file).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{file} makes no view {view}"
    return found[1]


def _plain(definition: str) -> str:
    return _ADDED.sub("", definition.lower())
