"""access: who looked at the log, who was refused, who logged in."""

from datetime import datetime
from typing import NamedTuple

from django.db import connections

from audit.models import ACCESS, OWN_WRITER
from audit.reports.figures import Figure, Row, Section, Table, counted, needed
from audit.reports.snapshot import OUTSIDE, Basis

KEYS = ("looks", "people", "downloads", "refused", "taken", "logins", "login_refused")
TAKEN = ("audit.export.fetched", "audit.export.answered", "audit.statement.made")
NAMED = 50
_WHO = """
SELECT r.actor_type, r.actor_id, count(*), count(*) FILTER (WHERE r.event_type LIKE '%%.downloaded'),
       count(*) FILTER (WHERE r.event_outcome = 'failure'), max(r.event_timestamp)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND r.event_category = %s AND r.event_timestamp >= %s AND r.event_timestamp < %s AND l.index < %s
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
LABELS = {
    "looks": "Looks at records, each recorded with its query",
    "people": "People and services that looked",
    "downloads": "of the looks, downloads",
    "refused": "of the looks, refused or failed",
    "taken": "Bundles fetched, exports answered, statements made",
    "logins": "Logins",
    "login_refused": "Logins refused or locked",
}


class Looker(NamedTuple):
    """Somebody who looked, and how often."""

    kind: str
    actor: str
    looks: int
    downloads: int
    refused: int
    last: datetime


def section(basis: Basis) -> Section:
    """Every look is a record before anything is shown."""
    rows = _rows(basis) if basis.sees_own else []
    return Section(
        key="access",
        title="Access to the log",
        says="Every search, view and download is recorded before the answer leaves, with who, from where and what "
        "was asked. Who reads the database itself is seen by PostgreSQL's own log, not here.",
        figures=_figures(basis, rows) if basis.sees_own else _outside(),
        tables=(_table(basis, rows),),
    )


def _rows(basis: Basis) -> list[Looker]:
    with connections["default"].cursor() as cursor:
        cursor.execute(_WHO, [OWN_WRITER, ACCESS, basis.begins, basis.ends, basis.size])
        return [Looker(*row) for row in cursor.fetchall()]


def _outside() -> tuple[Figure, ...]:
    return tuple(Figure(key=key, label=LABELS[key], value="—", state="none", note=OUTSIDE) for key in KEYS)


def _figures(basis: Basis, rows: list[Looker]) -> tuple[Figure, ...]:
    looks, downloads, refused = (sum(getattr(one, name) for one in rows) for name in ("looks", "downloads", "refused"))
    query = basis.query("category:access")
    of_logins, of_refused = basis.query("type:audit.person.logged_in"), basis.query("type:audit.person.login_refused")
    of_taken, logins = basis.query(*(f"type:{kind}" for kind in TAKEN)), basis.count("audit.person.logged_in")
    lacking = "Nobody looked at a record in this period."
    return (
        needed("looks", LABELS["looks"], looks, lacking, query=query),
        counted("people", LABELS["people"], len(rows), page="audit/access/"),
        counted("downloads", LABELS["downloads"], downloads, query=basis.query("category:access", "action:downloaded")),
        counted("refused", LABELS["refused"], refused, query=basis.query("category:access", "outcome:failure")),
        counted("taken", LABELS["taken"], basis.count(*TAKEN), query=of_taken),
        needed("logins", LABELS["logins"], logins, "Nobody logged in in this period.", query=of_logins),
        counted("login_refused", LABELS["login_refused"], _failed(basis), query=of_refused),
    )


def _failed(basis: Basis) -> int:
    return basis.count("audit.person.login_refused", "audit.person.login_locked")


def _table(basis: Basis, rows: list[Looker]) -> Table:
    lines = [
        Row(
            (one.actor, one.looks, one.downloads, one.refused, f"{one.last:%Y-%m-%d %H:%M}Z"),
            basis.query("category:access", f'actor:"{one.actor}"'),
        )
        for one in rows[:NAMED]
    ]
    columns = ("who", "looks", "downloads", "refused", "last")
    return Table(caption="Who looked", columns=columns, rows=tuple(lines), left_off=max(len(rows) - NAMED, 0))
