"""acts: sections that count what the store recorded of acts: changes, alerts, what was handed over."""

from collections.abc import Sequence
from typing import NamedTuple

from audit.reports.figures import Figure, Row, Section, State, Table
from audit.reports.snapshot import OUTSIDE, Act, Basis, fits

NAMED = 60
CELL = 160
NO_RULES = tuple(f"audit.expectation.{act}" for act in ("unmet", "explained", "owned"))


class Kind(NamedTuple):
    """Acts that are counted together, without some. `bad`: there should be none. `lacking`: what it means if not."""

    key: str
    label: str
    patterns: tuple[str, ...]
    without: tuple[str, ...] = ()
    bad: bool = False
    lacking: str = ""
    outcome: str = ""


CHANGES = (
    Kind(
        "people",
        "Accounts of people and groups made or changed",
        ("audit.person.*", "audit.group.*"),
        ("audit.person.log*",),
    ),
    Kind("scopes", "Scopes of auditors set", ("audit.scope.*",)),
    Kind("writers", "Writers and their keys made, changed or revoked", ("audit.writer.*",), ("audit.writer.silent",)),
    Kind("keys", "Keys of the log and of receipts made", ("audit.sealkey.*", "audit.receiptkey.*")),
    Kind("rules", "Rules about events made, changed or waived", ("audit.expectation.*",), NO_RULES),
    Kind(
        "queue_acts", "Acts of people on the dead letter queue", ("audit.parked.*",), ("audit.parked.indexes_rebuilt",)
    ),
    Kind("pauses", "of those, the queue paused or resumed", ("audit.parked.paused", "audit.parked.resumed")),
    Kind("discards", "of those, discards asked for, decided or done", ("audit.parked.discard*",)),
)
ALERTS = (
    Kind("silent", "Writers silent for longer than usual, told", ("audit.writer.silent",), bad=True),
    Kind(
        "gaps_told",
        "Gaps, manifests and promises told",
        ("audit.gap.found", "audit.manifest.found", "audit.promise.found", "audit.receipt.broken"),
        bad=True,
    ),
    Kind("unmet_told", "Expectations not met, told", ("audit.expectation.unmet",), bad=True),
    Kind(
        "verification_told", "Verifications that failed, told", ("audit.verification.ended",), (), True, "", "failure"
    ),
    Kind("conflicts", "Ids that came again with other content", ("audit.event.conflict",), bad=True),
    Kind("outages_told", "Outages with events lost", ("audit.episode.ended",), (), True, "", "failure"),
)
HANDED = (
    Kind("asked", "Evidence bundles asked for", ("audit.export.asked",)),
    Kind(
        "made",
        "Evidence bundles made, each with its digest in the log",
        ("audit.export.made",),
        lacking="No evidence bundle was made in this period.",
    ),
    Kind("fetched", "Fetches of bundles, or of files in them", ("audit.export.fetched",)),
    Kind("answered", "Exports of a few records, signed", ("audit.export.answered",)),
    Kind("statements", "Signed statements of how many records match", ("audit.statement.made",)),
    Kind("reports", "Compliance reports made, each with its digest in the log", ("audit.report.made",)),
)


def changes(basis: Basis) -> Section:
    """Who changed rights, keys and rules."""
    says = "An act that cannot be recorded is not done. Logins are counted under access."
    return _section(basis, "changes", "Changes of roles, keys and rules", says, CHANGES, "Changes, the newest first")


def alerts(basis: Basis) -> Section:
    """What the store told somebody."""
    says = (
        "What the store found out about itself and told: by webhook or mail where that is set up, and in each case "
        "as a record. What became of it stands under integrity and completeness."
    )
    return _section(basis, "alerts", "Alerts", says, ALERTS, "Alerts, the newest first")


def handed(basis: Basis) -> Section:
    """What left the store."""
    says = (
        "A bundle has a manifest and a proof of each record; an export of a few and a statement are signed. Who asked "
        "for it, who fetched it and its digest are records; what was redacted in it stands under redaction."
    )
    return _section(basis, "handed", "Evidence handed over", says, HANDED, "What was handed over, the newest first")


def keys(kinds: Sequence[Kind]) -> tuple[str, ...]:
    """The figures of such a section."""
    return tuple(kind.key for kind in kinds)


def _section(basis: Basis, key: str, title: str, says: str, kinds: Sequence[Kind], caption: str) -> Section:
    patterns = [pattern for kind in kinds for pattern in kind.patterns]
    found = [one for one in basis.listed(*patterns, most=10 * NAMED) if _counts(one, kinds)]
    return Section(
        key=key,
        title=title,
        says=says,
        figures=tuple(_figure(basis, kind) for kind in kinds),
        tables=(_table(caption, found),),
    )


def _figure(basis: Basis, kind: Kind) -> Figure:
    if not basis.sees_own:
        return Figure(key=kind.key, label=kind.label, value="—", state="none", note=OUTSIDE)
    count = basis.count(*kind.patterns, outcome=kind.outcome) - basis.count(*kind.without, outcome=kind.outcome)
    state: State = "exception" if kind.bad and count else "none" if kind.lacking and not count else "shown"
    terms = [*(f"type:{one}" for one in kind.patterns), *(f"-type:{one}" for one in kind.without)]
    query = basis.query(*terms, *([f"outcome:{kind.outcome}"] if kind.outcome else []))
    note = kind.lacking if state == "none" else ""
    return Figure(key=kind.key, label=kind.label, value=count, state=state, query=query, note=note)


def _counts(act: Act, kinds: Sequence[Kind]) -> bool:
    """Whether any of them counts it."""
    return any(
        any(fits(act.event_type, one) for one in kind.patterns)
        and not any(fits(act.event_type, one) for one in kind.without)
        and kind.outcome in ("", act.outcome)
        for kind in kinds
    )


def _table(caption: str, found: Sequence[Act]) -> Table:
    rows = [
        Row((f"{one.at:%Y-%m-%d %H:%M:%S}Z", one.event_type, one.actor, _of_what(one)), f"id:{one.id}")
        for one in found[:NAMED]
    ]
    left = max(len(found) - NAMED, 0)
    return Table(caption=caption, columns=("when", "what", "who", "of what"), rows=tuple(rows), left_off=left)


def _of_what(act: Act) -> str:
    named = act.data.get("name") or act.data.get("digest") or act.data.get("day") or act.resource
    return str(named)[:CELL]
