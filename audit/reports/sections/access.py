"""access: who looked at records, who was refused, who logged in."""

from datetime import datetime
from typing import NamedTuple

from audit.models import ACCESS, OWN_WRITER
from audit.postgres import sql
from audit.reports.figures import Figure, Section, TableRow, counted, listing, minute, needed, out_of_scope
from audit.reports.snapshot import LISTS_WHAT_IT_COUNTS, Snapshot

TAKEN = ("audit.export.fetched", "audit.export.answered", "audit.statement.made")
REFUSED = ("audit.person.login_refused", "audit.person.login_locked")
LOGINS_REFUSED = " ".join(f"type:{event_type}" for event_type in REFUSED)
MAX_ROWS = 50
_PEOPLE = """
SELECT r.actor_type, r.actor_id, count(*), count(*) FILTER (WHERE r.event_type LIKE '%%.downloaded'),
       count(*) FILTER (WHERE r.event_outcome = 'failure'), max(r.event_timestamp)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND r.event_category = %s AND r.event_timestamp >= %s AND r.event_timestamp < %s AND l.index < %s
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
LABELS = {
    "looks": "Looks at records, each recorded with its query",
    "people": "People and services that looked",
    "downloads": "Downloads",
    "refused": "Denied or failed access attempts",
    "taken": "Bundles fetched, exports answered, statements made",
    "logins": "Logins",
    "login_refused": "Logins refused or locked",
}


class AccessCount(NamedTuple):
    kind: str
    actor: str
    looks: int
    downloads: int
    refused: int
    last: datetime


def section(snapshot: Snapshot) -> Section:
    people = _people(snapshot) if snapshot.sees_store_acts else []
    rows = [
        TableRow(
            (person.actor, person.looks, person.downloads, person.refused, minute(person.last)),
            snapshot.query("category:access", f'actor:"{person.actor}"'),
        )
        for person in people
    ]
    return Section(
        key="access",
        title="Access to the log",
        says="Every search, view and download is recorded before the answer leaves, with who, from where and what "
        "was asked. Who reads the database itself is seen by PostgreSQL's own log, not here.",
        figures=_figures(snapshot, people) if snapshot.sees_store_acts else out_of_scope(LABELS),
        tables=(listing("Who looked", ("who", "looks", "downloads", "refused", "last"), rows, MAX_ROWS),),
    )


def _people(snapshot: Snapshot) -> list[AccessCount]:
    parameters = [OWN_WRITER, ACCESS, snapshot.begins, snapshot.ends, snapshot.size]
    return [AccessCount(*row) for row in sql.rows(_PEOPLE, parameters)]


def _figures(snapshot: Snapshot, people: list[AccessCount]) -> tuple[Figure, ...]:
    looks = sum(person.looks for person in people)
    downloads = sum(person.downloads for person in people)
    refused = sum(person.refused for person in people)
    logins = snapshot.count("audit.person.logged_in")
    query = snapshot.query
    of_refused = query(LOGINS_REFUSED if snapshot.version >= LISTS_WHAT_IT_COUNTS else f"type:{REFUSED[0]}")
    of_taken = query(*(f"type:{event_type}" for event_type in TAKEN))
    nobody, no_login = "Nobody looked at a record in this period.", "Nobody logged in in this period."
    return (
        needed("looks", LABELS["looks"], looks, nobody, query=query("category:access")),
        counted("people", LABELS["people"], len(people), page="audit/access/"),
        counted("downloads", LABELS["downloads"], downloads, query=query("category:access", "action:downloaded")),
        counted("refused", LABELS["refused"], refused, query=query("category:access", "outcome:failure")),
        counted("taken", LABELS["taken"], snapshot.count(*TAKEN), query=of_taken),
        needed("logins", LABELS["logins"], logins, no_login, query=query("type:audit.person.logged_in")),
        counted("login_refused", LABELS["login_refused"], snapshot.count(*REFUSED), query=of_refused),
    )
