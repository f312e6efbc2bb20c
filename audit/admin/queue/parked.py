"""The dead letter queue, read from Redis: what waits, why, and a way to try again."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

import dlq.outage
import dlq.stream
from audit import visibility
from audit.access.outage.person import KnownPerson
from audit.admin.base import ReadOnly, post_act
from audit.admin.queue import count, parked_rows, progress
from audit.errors import Invalid
from audit.ingest.record import Recorded
from audit.models import Discard, Parked
from audit.postgres.gateway import gateway
from audit.queue import actions, corrections, discards, drain
from audit.queue.visible import visible
from audit.safe_text import storable
from dlq.errors import Refused
from dlq.message import STATES as MESSAGE_STATES
from dlq.message import Message, is_stream_id

REHEARSED = {"stored": "it would be stored", "duplicate": "it is stored already, with the same content"}
TAB_NAMES = {
    "": "All",
    "due": "Ready to retry",
    "waiting": "Scheduled",
    "leased": "Being tried",
    "dead": "Dead (needs action)",
    "quarantined": "Quarantined",
}
QUEUED = "Queued for immediate retry."
WILL_FAIL = f"{QUEUED} It will fail again, for it is not a valid event: correct it instead."
FILTERS = ("state", "writer", "type", "error", "text", "since")
PERMISSION = "audit.retry_parked"
LIST = "admin:audit_parked_changelist"
REASON_CHARACTERS = 1_000


@admin.register(Parked)
class ParkedAdmin(ReadOnly):
    """Pages of the queue. Who was logged in reads the list and each event also while PostgreSQL is away."""

    views: ClassVar = {
        "act/": "act",
        "count/": "count",
        "pause/": "pause",
        "export/": "export",
        "<path:message_id>/rehearse/": "rehearse",
        "<path:message_id>/correct/": "correct",
        "<path:message_id>/discard/": "discard",
        "<path:message_id>/retry/": "retry",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        try:
            return self._list(request)
        except Refused:
            return self._unreadable(request)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        try:
            message = parked_rows.get(object_id)
        except Refused:
            return self._unreadable(request)
        if message is None:
            messages.info(request, "That event is not in the queue any more: it is stored, or never was here.")
            return redirect(LIST)
        return self._message_page(request, message)

    def _message_page(self, request: HttpRequest, message: Message, error: Exception | None = None) -> HttpResponse:
        """The page of a message; after a correction that was refused with what was typed, and what is wrong with it."""
        is_away = isinstance(request.user, KnownPerson)
        shown = parked_rows.detail(message) | (parked_rows.NOTHING_SAID if is_away else parked_rows.said_of(message))
        return self.page(
            request,
            "detail",
            **shown,
            **_snoozes(),
            typed=shown["payload"] if error is None else request.POST.get("event", ""),
            typed_reason="" if error is None else request.POST.get("reason", ""),
            faults=list(error.errors.items()) if isinstance(error, Invalid) else [],
            is_editing=error is not None and shown["correction"] is None,
            links_records=request.user.has_perm("audit.view_record") and not visibility.scopes(),
        )

    def retry_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        def act() -> str:
            message = _message_or_404(message_id)
            actions.retry([message], request.user.get_username())
            return WILL_FAIL if parked_rows.is_invalid(message) else QUEUED

        return post_act(request, PERMISSION, act, str, back=_page_of(message_id))

    def rehearse_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Say what a drain would do with one message; nothing of it is kept."""

        def act() -> None:
            outcome = drain.rehearse(_message_or_404(message_id))
            if text := REHEARSED.get(outcome.verdict):
                messages.success(request, f"Tried and rolled back: {text}.")
            else:
                messages.warning(request, f"Tried and rolled back: {outcome.kind}: {outcome.error}")

        return post_act(request, PERMISSION, act, back=_page_of(message_id))

    def discard_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        def act() -> HttpResponse:
            reason = storable(request.POST.get("reason", "").strip(), REASON_CHARACTERS)
            if not reason:
                raise Invalid({"": "a discard needs a reason."})
            asked: Discard = discards.request(
                _message_or_404(message_id), reason=reason, by=request.user.get_username()
            )
            return redirect("admin:audit_discard_change", asked.pk)

        return post_act(request, PERMISSION, act, back=_page_of(message_id))

    def correct_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Record a corrected copy as a new event; the parked one stays for a discard or the quarantine."""

        def act() -> Recorded:
            text = request.POST.get("event", "").encode("utf-8", "surrogatepass")
            by, reason = request.user.get_username(), request.POST.get("reason", "")
            return corrections.correct(_message_or_404(message_id), text, by=by, reason=reason)

        def success(recorded: Recorded) -> str:
            return f"Recorded as the new event {recorded.event.id} ({recorded.state}). The old one stays."

        def refused(error: Exception) -> HttpResponse:
            return self._message_page(request, _message_or_404(message_id), error)

        return post_act(request, PERMISSION, act, success, back=_page_of(message_id), refused=refused)

    def act_view(self, request: HttpRequest) -> HttpResponse:
        """Act on the messages that were ticked, or on all that match: those are counted first."""
        name, bulk_act = _bulk_act(request.POST.get("act", "")) if request.method == "POST" else ("", None)

        def act() -> HttpResponse | int:
            assert bulk_act is not None
            if request.POST.get("scope") == "all" and "sure" not in request.POST:
                parameters = {key: request.POST.get(key, "") for key in ("act", "snooze", *FILTERS)}
                return redirect(f"{reverse('admin:audit_parked_count')}?{urlencode(parameters)}")
            chosen = parked_rows.chosen(request.POST)
            if not chosen:
                raise Invalid({"": "no event is selected: tick some, or choose all that match."})
            options = {"span": _snooze_span(request.POST.get("snooze", ""))} if bulk_act is actions.snooze else {}
            number: int = bulk_act(chosen, request.user.get_username(), **options)
            return number

        def success(result: HttpResponse | int) -> str:
            return f"{name}: {result:,} event{'' if result == 1 else 's'}." if isinstance(result, int) else ""

        return post_act(request, PERMISSION, act, success, back=reverse(LIST))

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Count what an act on all that match would meet, a second per request; then show the button to do it."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        name, _ = _bulk_act(request.GET.get("act", ""))
        try:
            counted = count.step(request, parked_rows.selection(request.GET))
        except Refused:
            return self._unreadable(request)
        parameters = {key: request.GET.get(key, "") for key in ("act", "snooze", *FILTERS)}
        response = self.page(
            request, "sure", title=f"{name}?", name=name, counted=counted, parameters=parameters.items()
        )
        if not counted.done:
            here = reverse("admin:audit_parked_count")
            response["Refresh"] = f"0; url={here}?{urlencode(parameters | counted.onward)}"
        return response

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause or resume draining, as the button says: two people who press it at once want the same."""

        def act() -> str:
            if request.POST.get("want") == "resume":
                actions.resume(request.user.get_username())
                return "Draining is resumed: what is due is tried within seconds."
            actions.pause(request.user.get_username())
            return "Draining is paused. Events are still accepted; parked ones stay parked."

        return post_act(request, PERMISSION, act, str, back=reverse(LIST))

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        self.require_view(request)
        matches = visible(parked_rows.selection(request.GET).all(dlq.stream.for_drain()))
        try:
            first = next(matches, None)
        except Refused:
            return self._unreadable(request)
        response = StreamingHttpResponse(_lines(first, matches), content_type="application/x-ndjson")
        response["Content-Disposition"] = 'attachment; filename="parked.ndjson"'
        return response

    def _list(self, request: HttpRequest) -> HttpResponse:
        queue = dlq.stream.for_drain()
        if request.GET.get("state") == "quarantined":
            quarantine = reverse("admin:audit_quarantined_changelist")
            return redirect(f"{quarantine}?{urlencode({'q': request.GET.get('q', '').strip()})}")
        if key := request.GET.get("q", "").strip():
            message = queue.pages.find(key)
            return self._list_page(request, [*visible([message] if message else [])], None)
        after = request.GET.get("after", "")
        rows, next_id = parked_rows.selection(request.GET).some(
            queue,
            limit=parked_rows.PAGE,
            after=after if is_stream_id(after) else None,
            looks=parked_rows.LOOKS_PER_PAGE,
        )
        return self._list_page(request, [*visible(rows)], next_id)

    def _list_page(self, request: HttpRequest, rows: list[Message], next_id: str | None) -> HttpResponse:
        parameters, stats = request.GET.copy(), dlq.stream.for_drain().totals.stats()
        # What is in PostgreSQL is not offered while that is away.
        is_away = isinstance(request.user, KnownPerson)
        elsewhere = () if is_away else ("quarantined",)
        parameters["after"] = next_id or ""
        corrected = {} if is_away else parked_rows.corrections_of(rows)
        key = request.GET.get("q", "").strip()
        return self.page(
            request,
            "list",
            title="Dead letter queue",
            rows=[parked_rows.row(message) | {"correction": corrected.get(message.id)} for message in rows],
            links_records=request.user.has_perm("audit.view_record") and not visibility.scopes(),
            stats=stats,
            tabs=_tabs(request.GET.get("state", ""), elsewhere),
            sentence=progress.sentence(dlq.stream.for_drain(), database_up=not gateway().breaker.is_open),
            paused=dlq.stream.for_drain().activity.paused(),
            blips=dlq.outage.blips(dlq.stream.for_drain()),
            chart=parked_rows.chart(request),
            figures=parked_rows.figures(),
            since_wrong=parked_rows.since(request.GET)[1],
            spans=parked_rows.SPAN_MINUTES,
            span=parked_rows.span(request),
            states=[("", "all"), *((state, state) for state in (*MESSAGE_STATES, *elsewhere))],
            filters={name: request.GET.get(name, "") for name in ("q", *FILTERS)},
            is_filtered=any(request.GET.get(name) for name in ("q", *FILTERS)),
            acts=[(act, label) for act, (label, _) in actions.BULK_ACTS.items()],
            **_snoozes(),
            may_act=request.user.has_perm(PERMISSION),
            next_url=f"?{parameters.urlencode()}" if next_id else "",
            discarded=[] if rows or is_away or not key else parked_rows.discarded(key),
            looked_at=parked_rows.LOOKS_PER_PAGE if next_id and len(rows) < parked_rows.PAGE else 0,
            query=request.GET.urlencode(),
        )

    def _unreadable(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, "unreadable", title="Dead letter queue", status=503)


def _tabs(state: str, elsewhere: Sequence[str]) -> list[tuple[str, str, int | None, bool]]:
    """Label, state, count and whether it is shown, of each tab; what is apart from the queue is not counted here."""
    totals = dlq.stream.for_drain().totals.read()
    waiting = totals["due"] - totals["ready"]
    counts = {"": totals["depth"], "due": totals["ready"], "waiting": waiting, "leased": totals["leased"]}
    tabs: dict[str, int | None] = {**counts, "dead": totals["dead"], **dict.fromkeys(elsewhere)}
    return [(TAB_NAMES[name], name, number, name == state) for name, number in tabs.items()]


def _bulk_act(name: str) -> tuple[str, Any]:
    if name not in actions.BULK_ACTS:
        raise Http404("There is no such act.")
    return actions.BULK_ACTS[name]


def _snoozes() -> dict[str, Any]:
    """What a form needs to offer a snooze: each name with its words, and the one that is chosen."""
    return {"snoozes": [(name, words) for name, (words, _) in actions.SNOOZES.items()], "snooze": "24h"}


def _snooze_span(name: str) -> timedelta:
    return actions.SNOOZES.get(name, ("", actions.SNOOZE))[1]


def _message_or_404(message_id: str) -> Message:
    message = parked_rows.get(message_id)
    if message is None:
        raise Http404(f"No message {message_id} is in the queue.")
    return message


def _page_of(message_id: str) -> str:
    return reverse("admin:audit_parked_change", args=[message_id])


def _lines(first: Message | None, rest: Iterator[Message]) -> Iterator[str]:
    if first is not None:
        yield json.dumps(first.as_json(), ensure_ascii=False) + "\n"
    for message in rest:
        yield json.dumps(message.as_json(), ensure_ascii=False) + "\n"
