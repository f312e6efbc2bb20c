"""outages: each time PostgreSQL was away, read from the records that the store made of it when it was over."""

from datetime import datetime
from typing import Any, NamedTuple

from audit.reports.figures import Drawing, Figure, Row, Section, State, Table, counted, wrong
from audit.reports.snapshot import OUTSIDE, Act, Basis

KEYS = ("episodes", "diverted", "brought_home", "lost", "dead", "longest", "remediated")
MOST, NAMED = 1_000, 50
NONE_NEEDED = "No outage, so nothing to remedy."


class Outage(NamedTuple):
    """One of them."""

    began_at: datetime
    ended_at: datetime
    act: Act
    remediation: str

    def number(self, name: str) -> int:
        """A figure of its account; one that went down meanwhile does not make up for another outage."""
        return max(int(self.act.data.get(name) or 0), 0)

    @property
    def seconds(self) -> int:
        """Until the queue was empty again."""
        return round((self.ended_at - self.began_at).total_seconds())


def section(basis: Basis) -> Section:
    """Outages that the period saw, with cause, duration, remediation and what was lost."""
    found = outages(basis)
    return Section(
        key="queue",
        title="Outages and the dead letter queue",
        says="While PostgreSQL does not take events they wait in the dead letter queue. An outage counts where any"
        " of it lies in the period; its account was recorded and sealed when the queue was empty again.",
        figures=_figures(basis, found),
        tables=(_table(found),),
        drawings=(
            Drawing(
                title="Seconds until the queue was empty",
                names=tuple(f"{one.began_at:%m-%d %H:%M}" for one in found[-NAMED:]),
                numbers=tuple(one.seconds for one in found[-NAMED:]),
            ),
        ),
    )


def outages(basis: Basis) -> list[Outage]:
    """The oldest first. One that was recorded twice, for a kill came between, counts once."""
    ended = basis.listed("audit.episode.ended", most=MOST, open_end=True)
    notes = {
        one.correlation: one for one in reversed(basis.listed("audit.episode.annotated", most=MOST, open_end=True))
    }
    found: dict[str, Outage] = {}
    for act in ended:
        began = _time(act.data.get("began_at")) or act.at
        note = notes.get(act.correlation)
        words = f"{note.data.get('note', '')} ({note.actor}, {note.at:%Y-%m-%d})" if note else ""
        if began < basis.ends:
            found.setdefault(act.correlation, Outage(began, _time(act.data.get("emptied_at")) or act.at, act, words))
    return sorted(found.values(), key=lambda one: (one.began_at, one.act.correlation))


def _figures(basis: Basis, found: list[Outage]) -> tuple[Figure, ...]:
    if not basis.sees_own:
        return tuple(
            Figure(key=key, label=key.replace("_", " "), value="—", state="none", note=OUTSIDE) for key in KEYS
        )
    query, page = basis.query("type:audit.episode.ended"), "audit/episode/"
    sums = {name: sum(one.number(name) for one in found) for name in ("parked", "stored", "lost", "dead")}
    longest = max((one.seconds for one in found), default=0)
    bare = sum(not one.remediation for one in found)
    text = f"{len(found) - bare} of {len(found)}" if found else NONE_NEEDED
    state: State = "exception" if bare else "shown"
    return (
        counted("episodes", "Outages", len(found), query=query),
        counted("diverted", "Events that waited in the queue", sums["parked"], page=page),
        counted("brought_home", "of those, stored when it was over", sums["stored"], page=page),
        wrong("lost", "Events lost", sums["lost"], query=query),
        wrong("dead", "Events left dead in the queue", sums["dead"], page="audit/parked/"),
        counted("longest", "The longest, in seconds until the queue was empty", longest, query=query),
        Figure(key="remediated", label="With a remediation written", value=text, state=state, page=page),
    )


def _table(found: list[Outage]) -> Table:
    rows = [
        Row(
            (
                f"{one.began_at:%Y-%m-%d %H:%M:%S}Z",
                f"{one.seconds:,} s",
                _causes(one.act.data),
                one.number("parked"),
                one.number("stored"),
                one.number("lost"),
                one.remediation or "none yet",
            ),
            f"id:{one.act.id}",
        )
        for one in found[-NAMED:]
    ]
    columns = ("began", "lasted", "cause", "diverted", "stored", "lost", "remediation")
    return Table(caption="Each outage", columns=columns, rows=tuple(rows), left_off=max(len(found) - NAMED, 0))


def _causes(data: dict[str, Any]) -> str:
    reasons = data.get("reasons")
    return ", ".join(sorted(reasons)) if isinstance(reasons, dict) and reasons else "not known"


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
