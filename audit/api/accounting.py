"""GET account: what was received on a day, and what became of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.accounting import balance
from audit.accounting.balance import WriterDay
from audit.api.base import ApiView, parameters
from audit.api.openapi import accounting as openapi
from audit.errors import Invalid
from audit.formats.times import timestamp_text

MAX_DAYS = 31


class AccountView(ApiView):
    """The account of a day, or of some days, by writer."""

    scopes: ClassVar = {"GET": "read"}

    @extend_schema(**openapi.GET_ACCOUNT)
    def get(self, request: Request) -> Response:
        first, last, writer = _parameters(parameters(request))
        result = balance.compute(first, last, writer=writer)
        return Response(
            {
                "first_day": first.isoformat(),
                "last_day": last.isoformat(),
                "state": result.state,
                "read_at": result.read_at and timestamp_text(result.read_at),
                "copied_at": result.copied_at and timestamp_text(result.copied_at),
                "total": result.total.figures(),
                "data": [_row(row) for row in result.rows],
            }
        )


def _row(row: WriterDay) -> dict[str, Any]:
    facts = {"day": row.day.isoformat(), "writer": row.writer, "state": row.state, "not_yet": row.not_yet or None}
    return facts | row.line.figures()


def _parameters(given: dict[str, str]) -> tuple[date, date, str]:
    """The first and last day and the writer. Raises `Invalid`."""
    if unknown := given.keys() - {"day", "until", "writer", "format"}:
        raise Invalid(dict.fromkeys(unknown, "this parameter is unknown"))
    first = _day(given, "day", datetime.now(UTC).date())
    last = _day(given, "until", first)
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
        raise Invalid({"until": f"is the last day, not before `day`: at most {MAX_DAYS} days are given at once"})
    if "\x00" in (writer := given.get("writer", "")):
        raise Invalid({"writer": "must not hold U+0000"})
    return first, last, writer


def _day(parameters: dict[str, str], name: str, default: date) -> date:
    try:
        return date.fromisoformat(parameters[name]) if name in parameters else default
    except ValueError:
        raise Invalid({name: "is not a day such as 2026-08-18"}) from None
