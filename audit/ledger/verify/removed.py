"""Tell leaves whose record a purge removed from leaves whose record is missing."""

from collections.abc import Sequence

from audit.ledger import purged
from audit.ledger.purged import Span, Standing
from audit.ledger.verify.records import Checked
from audit.ledger.verify.result import RunReport, Verdict

# Among the counts of a run: leaves without a record under a certificate, and those whose purge has none yet.
PURGED, UNCERTIFIED = "purged", "purged without a certificate"


class Removed:
    """Each plan's certificate is checked once in a run, and its sentence written once."""

    def __init__(self, report: RunReport, using: str):
        self._report = report
        self._using = using
        self._spans: Sequence[Span] = ()
        self._standings: dict[int, Standing] = {}

    def look(self, rows: list[Checked]) -> None:
        """Read what was removed of these leaves, where one has no record."""
        absent = [row.leaf_index for row in rows if not row.is_here]
        self._spans = purged.spans(absent[0], absent[-1] + 1, self._using) if absent else ()

    def explains(self, row: Checked) -> bool:
        """Whether a purge removed the record of this leaf. One that no certificate covers is counted, and one that is
        not what its certificate says is a finding, and explains nothing."""
        if (plan := purged.plan_of(row.leaf_index, self._spans)) is None:
            return False
        standing = self._standing(plan)
        if standing.state == "wrong":
            return False
        self._report.count(PURGED if standing.state == "certified" else UNCERTIFIED)
        return True

    def _standing(self, plan: int) -> Standing:
        if plan not in self._standings:
            standing = self._standings[plan] = purged.standing(plan, self._using)
            if standing.state == "wrong":
                self._report.find(Verdict.ALTERED, "purge", f"{standing.why[0].upper()}{standing.why[1:]}.", index=plan)
            elif standing.state == "open":
                self._report.leave_out(f"Records are gone under a purge that is not ended: {standing.why}.")
            else:
                text = f"PURGED: records that the purge {plan} removed are not here to be checked; their leaves are."
                self._report.leave_out(f"{text} Its certificate is the record {standing.certificate}.")
        return self._standings[plan]
