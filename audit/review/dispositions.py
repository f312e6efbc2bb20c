"""dispositions: what the signatures under a day say of its lines, and how many lines nobody has said anything of.

A disposition stands in every later signature of the day, until another one replaces it or the line counts more.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from audit import visibility
from audit.models import OWN_WRITER, Record, Review
from audit.review.exception_report import INFORMATIONAL

SIGNED, COUNTERSIGNED, SIGNED_AGAIN = (f"audit.review.{act}" for act in ("signed", "countersigned", "signed_again"))
SIGNATURES = (SIGNED, COUNTERSIGNED, SIGNED_AGAIN)
# What a reviewer says of a line, and what that means.
DISPOSITIONS = {"expected": "expected, nothing to do", "ticket": "a ticket follows it", "incident": "an incident"}
# Of each part that counts, the lines of which something is said.
Dispositions = dict[str, dict[str, dict[str, str]]]
# A part, and a line of it.
Line = tuple[str, str]


class Said(NamedTuple):
    """The disposition that a signature gave a line, and how often the line had happened then."""

    by: str
    at: datetime
    disposition: str
    why: str
    times: int


class Signature(NamedTuple):
    """A signature as its record has it. `lines` is what it says itself, `shown` the document that was signed."""

    by: str
    at: datetime
    shown: dict[str, Any]
    lines: Dispositions


class Reviewed(NamedTuple):
    """How many lines have a disposition, of all that count."""

    done: int
    lines: int

    @property
    def left(self) -> int:
        return self.lines - self.done

    def __str__(self) -> str:
        return f"{self.done} of {self.lines} line{'' if self.lines == 1 else 's'} reviewed"


def act(signers_before: Iterable[str], by: str) -> str:
    """The event type of a signature: a countersignature is by somebody who has not signed the day yet."""
    before = set(signers_before)
    return SIGNED if not before else SIGNED_AGAIN if by in before else COUNTERSIGNED


def lines_of(document: dict[str, Any]) -> dict[Line, int]:
    """Every line of a signed document that counts, with how often it happened."""
    parts = document.get("parts", {}).items()
    return {(part, label): times for part, rows in parts if part not in INFORMATIONAL for label, times in rows.items()}


def history(signatures: Iterable[Signature]) -> dict[Line, list[Said]]:
    """All that was ever said of each line, oldest first."""
    said: dict[Line, list[Said]] = {}
    for signature in signatures:
        for line, times in lines_of(signature.shown).items():
            if (disposition := signature.lines.get(line[0], {}).get(line[1])) is not None:
                words = disposition.get("is", ""), disposition.get("why", "")
                said.setdefault(line, []).append(Said(signature.by, signature.at, *words, times))
    return said


def standing(signatures: Iterable[Signature], document: dict[str, Any]) -> dict[Line, Said]:
    """The newest disposition of each line of a document, where the line has not happened more often since."""
    lines, said = lines_of(document), history(signatures)
    return {line: said[line][-1] for line, times in lines.items() if line in said and said[line][-1].times >= times}


def reviewed(signatures: list[Signature]) -> Reviewed:
    """How many lines of what was signed last have a disposition, of this signature or of one before."""
    shown = signatures[-1].shown if signatures else {}
    return Reviewed(len(standing(signatures, shown)), len(lines_of(shown)))


def signatures(reviews: Iterable[Review]) -> dict[date, list[Signature]]:
    """The signatures under each day, oldest first. What they say of lines is in their records."""
    days: dict[date, list[Review]] = {}
    for review in reviews:
        days.setdefault(review.day, []).append(review)
    said = _said(days) if days else {}
    return {
        day: [
            Signature(review.signed_by, review.signed_at, review.shown, said.get((day.isoformat(), review.number), {}))
            for review in sorted(signed, key=lambda review: review.number)
        ]
        for day, signed in days.items()
    }


def _said(days: Iterable[date]) -> dict[tuple[str, int], Dispositions]:
    records = Record.objects.filter(
        writer=OWN_WRITER,
        correlation_id__in=[f"review-{day}" for day in days],
        event_type__in=SIGNATURES,
        event_category="security",
    )
    with visibility.as_system():
        return {
            (record.resource_id, record.event_data.get("number", 0)): record.event_data.get("lines") or {}
            for record in records
        }
