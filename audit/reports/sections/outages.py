"""outages: each time PostgreSQL was away, from the records that the store made of it when it was over."""

from datetime import datetime
from typing import Any, NamedTuple

from audit.reports.figures import Drawing, Figure, Section, State, TableRow, counted, listing, out_of_scope, wrong
from audit.reports.snapshot import Act, Snapshot

KEYS = ("episodes", "diverted", "brought_home", "lost", "dead", "longest", "remediated")
MAX_OUTAGES, MAX_ROWS = 1_000, 50
NONE_NEEDED = "No outage, so nothing to remedy."


class RecordedOutage(NamedTuple):
    began_at: datetime
    ended_at: datetime
    act: Act
    remediation: str

    def number(self, name: str) -> int:
        """A count of its record. A negative one must not make up for another outage."""
        return max(int(self.act.data.get(name) or 0), 0)

    @property
    def seconds(self) -> int:
        """Until the queue was empty again."""
        return round((self.ended_at - self.began_at).total_seconds())


def section(snapshot: Snapshot) -> Section:
    recorded = outages(snapshot)
    columns = ("began", "lasted", "cause", "diverted", "stored", "lost", "remediation")
    drawing = Drawing(
        title="Seconds until the queue was empty",
        names=tuple(f"{outage.began_at:%m-%d %H:%M}" for outage in recorded[-MAX_ROWS:]),
        numbers=tuple(outage.seconds for outage in recorded[-MAX_ROWS:]),
    )
    return Section(
        key="queue",
        title="Outages and the dead letter queue",
        says="While PostgreSQL does not take events they wait in the dead letter queue. An outage counts where any"
        " of it lies in the period; its account was recorded and sealed when the queue was empty again.",
        figures=_figures(snapshot, recorded),
        tables=(listing("Each outage", columns, [_row(outage) for outage in recorded], MAX_ROWS, last=True),),
        drawings=(drawing,),
    )


def outages(snapshot: Snapshot) -> list[RecordedOutage]:
    """Oldest first. One that was recorded twice, because of a kill in between, counts once."""
    ended = snapshot.acts("audit.episode.ended", limit=MAX_OUTAGES, open_end=True)
    annotated = snapshot.acts("audit.episode.annotated", limit=MAX_OUTAGES, open_end=True)
    notes = {act.correlation: act for act in reversed(annotated)}
    recorded: dict[str, RecordedOutage] = {}
    for act in ended:
        began_at = _time(act.data.get("began_at")) or act.at
        ended_at = _time(act.data.get("emptied_at")) or act.at
        note = notes.get(act.correlation)
        remediation = f"{note.data.get('note', '')} ({note.actor}, {note.at:%Y-%m-%d})" if note else ""
        if began_at < snapshot.ends:
            recorded.setdefault(act.correlation, RecordedOutage(began_at, ended_at, act, remediation))
    return sorted(recorded.values(), key=lambda outage: (outage.began_at, outage.act.correlation))


def _figures(snapshot: Snapshot, recorded: list[RecordedOutage]) -> tuple[Figure, ...]:
    if not snapshot.sees_store_acts:
        return out_of_scope({key: key.replace("_", " ") for key in KEYS})
    query, page = snapshot.query("type:audit.episode.ended"), "audit/episode/"
    parked, stored, lost, dead = (
        sum(outage.number(name) for outage in recorded) for name in ("parked", "stored", "lost", "dead")
    )
    longest = max((outage.seconds for outage in recorded), default=0)
    remediated = sum(bool(outage.remediation) for outage in recorded)
    text = f"{remediated} of {len(recorded)}" if recorded else NONE_NEEDED
    state: State = "exception" if remediated < len(recorded) else "shown"
    return (
        counted("episodes", "Outages", len(recorded), query=query),
        counted("diverted", "Events that waited in the queue", parked, page=page),
        counted("brought_home", "Parked events stored after the outage", stored, page=page),
        wrong("lost", "Events lost", lost, query=query),
        wrong("dead", "Events left dead in the queue", dead, page="audit/parked/"),
        counted("longest", "The longest, in seconds until the queue was empty", longest, query=query),
        Figure(key="remediated", label="With a remediation written", value=text, state=state, page=page),
    )


def _row(outage: RecordedOutage) -> TableRow:
    cells = (
        f"{outage.began_at:%Y-%m-%d %H:%M:%S}Z",
        f"{outage.seconds:,} s",
        _causes(outage.act.data),
        outage.number("parked"),
        outage.number("stored"),
        outage.number("lost"),
        outage.remediation or "none yet",
    )
    return TableRow(cells, f"id:{outage.act.id}")


def _causes(data: dict[str, Any]) -> str:
    reasons = data.get("reasons")
    return ", ".join(sorted(reasons)) if isinstance(reasons, dict) and reasons else "not known"


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
