"""acts: sections that count the store's own records of acts: changes, alerts, what was handed over."""

from collections.abc import Sequence
from typing import NamedTuple

from audit.reports.figures import OUT_OF_SCOPE, Figure, Section, State, TableRow, listing
from audit.reports.snapshot import LISTS_WHAT_IT_COUNTS, Act, Snapshot, fits

MAX_ROWS = 60
CELL_CHARS = 160
NO_RULES = tuple(f"audit.expectation.{act}" for act in ("unmet", "explained", "owned"))


class ActKind(NamedTuple):
    """Acts that are counted together, except those of the types in `without`.

    `bad`: any is an exception; so it is in reports of a version of the content before `bad_before`.
    `lacking`: the note where there is none.
    """

    key: str
    label: str
    patterns: tuple[str, ...]
    without: tuple[str, ...] = ()
    bad: bool = False
    lacking: str = ""
    outcome: str = ""
    bad_before: int = 0

    def includes(self, event_type: str, outcome: str) -> bool:
        return (
            any(fits(event_type, pattern) for pattern in self.patterns)
            and not any(fits(event_type, pattern) for pattern in self.without)
            and self.outcome in ("", outcome)
        )


CHANGES = (
    ActKind(
        "people",
        "Accounts of people and groups made or changed",
        ("audit.person.*", "audit.group.*"),
        ("audit.person.log*",),
    ),
    ActKind("scopes", "Record access rules set", ("audit.scope.*",)),
    ActKind(
        "writers", "Writers and their keys made, changed or revoked", ("audit.writer.*",), ("audit.writer.silent",)
    ),
    ActKind("keys", "Keys of the log and of receipts made", ("audit.sealkey.*", "audit.receiptkey.*")),
    ActKind("rules", "Rules about events made, changed or waived", ("audit.expectation.*",), NO_RULES),
    ActKind(
        "queue_acts", "Acts of people on the dead letter queue", ("audit.parked.*",), ("audit.parked.indexes_rebuilt",)
    ),
    ActKind("pauses", "Processing of the queue paused or resumed", ("audit.parked.paused", "audit.parked.resumed")),
    ActKind("discards", "Discards requested, decided or carried out", ("audit.parked.discard*",)),
)
ALERTS = (
    ActKind("silent", "Writers silent for longer than usual, notified", ("audit.writer.silent",), bad=True),
    ActKind(
        "gaps_told",
        "Gaps, manifests and promises notified",
        ("audit.gap.found", "audit.manifest.found", "audit.promise.found", "audit.receipt.broken"),
        bad=True,
    ),
    # Those that are open are an exception, under completeness: this one was told, whatever became of it.
    ActKind("unmet_told", "Expectations not met, told", ("audit.expectation.unmet",), bad_before=3),
    ActKind(
        "verification_told", "Verifications that failed, told", ("audit.verification.ended",), (), True, "", "failure"
    ),
    ActKind("conflicts", "Ids that came again with other content", ("audit.event.conflict",), bad=True),
    ActKind("outages_told", "Outages with events lost", ("audit.episode.ended",), (), True, "", "failure"),
)
HANDED = (
    ActKind("asked", "Evidence bundles asked for", ("audit.export.asked",)),
    ActKind(
        "made",
        "Evidence bundles made, each with its digest in the log",
        ("audit.export.made",),
        lacking="No evidence bundle was made in this period.",
    ),
    ActKind("fetched", "Fetches of bundles, or of files in them", ("audit.export.fetched",)),
    ActKind("answered", "Exports of a few records, signed", ("audit.export.answered",)),
    ActKind("statements", "Signed statements of how many records match", ("audit.statement.made",)),
    ActKind("reports", "Compliance reports made, each with its digest in the log", ("audit.report.made",)),
)


def changes(snapshot: Snapshot) -> Section:
    says = "An act that cannot be recorded is not done. Logins are counted under access."
    return _section(snapshot, "changes", "Changes of roles, keys and rules", says, CHANGES, "Changes, the newest first")


def alerts(snapshot: Snapshot) -> Section:
    says = (
        "What the store found out about itself and told: by webhook or mail where that is set up, and in each case "
        "as a record. What became of it stands under integrity and completeness."
    )
    return _section(snapshot, "alerts", "Alerts", says, ALERTS, "Alerts, the newest first")


def handed(snapshot: Snapshot) -> Section:
    says = (
        "A bundle has a manifest and a proof of each record; an export of a few and a statement are signed. Who asked "
        "for it, who fetched it and its digest are records; what was redacted in it stands under redaction."
    )
    return _section(snapshot, "handed", "Evidence handed over", says, HANDED, "What was handed over, the newest first")


def keys(kinds: Sequence[ActKind]) -> tuple[str, ...]:
    return tuple(kind.key for kind in kinds)


def _section(snapshot: Snapshot, key: str, title: str, says: str, kinds: Sequence[ActKind], caption: str) -> Section:
    acts, total = _listed(snapshot, kinds)
    rows = [
        TableRow((f"{act.at:%Y-%m-%d %H:%M:%S}Z", act.event_type, act.actor, _subject(act)), f"id:{act.id}")
        for act in acts
    ]
    return Section(
        key=key,
        title=title,
        says=says,
        figures=tuple(_figure(snapshot, kind) for kind in kinds),
        tables=(listing(caption, ("when", "what", "who", "of what"), rows, MAX_ROWS, total=total),),
    )


def _listed(snapshot: Snapshot, kinds: Sequence[ActKind]) -> tuple[list[Act], int]:
    """The newest acts that the figures count, as many as are listed or more, and how many there are."""

    def is_counted(event_type: str, outcome: str) -> bool:
        return any(kind.includes(event_type, outcome) for kind in kinds)

    if snapshot.version < LISTS_WHAT_IT_COUNTS:
        patterns = [pattern for kind in kinds for pattern in kind.patterns]
        newest = snapshot.acts(*patterns, limit=10 * MAX_ROWS)
        acts = [act for act in newest if is_counted(act.event_type, act.outcome)]
        return acts, len(acts)
    # An act that two figures count is listed once.
    counts = {kind: count for kind, count in snapshot.counts.items() if is_counted(*kind)}
    return snapshot.acts_of(counts, MAX_ROWS), sum(counts.values())


def _figure(snapshot: Snapshot, kind: ActKind) -> Figure:
    if not snapshot.sees_store_acts:
        return Figure(key=kind.key, label=kind.label, value="—", state="none", note=OUT_OF_SCOPE)
    outcome = kind.outcome
    count = snapshot.count(*kind.patterns, outcome=outcome) - snapshot.count(*kind.without, outcome=outcome)
    is_bad = kind.bad or snapshot.version < kind.bad_before
    state: State = "exception" if is_bad and count else "none" if kind.lacking and not count else "shown"
    terms = [*(f"type:{pattern}" for pattern in kind.patterns), *(f"-type:{pattern}" for pattern in kind.without)]
    query = snapshot.query(*terms, *([f"outcome:{outcome}"] if outcome else []))
    note = kind.lacking if state == "none" else ""
    return Figure(key=kind.key, label=kind.label, value=count, state=state, query=query, note=note)


def _subject(act: Act) -> str:
    subject = act.data.get("name") or act.data.get("digest") or act.data.get("day") or act.resource
    return str(subject)[:CELL_CHARS]
