"""The page of one record: who did what, its data, how it arrived, its neighbours, and the proof."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit import safe_text
from audit.admin.access import access_log
from audit.admin.base import ReadOnly
from audit.admin.charts import ledger
from audit.admin.display import OUTCOMES, STATES, badge, time_tag
from audit.admin.imports.imported import Imported, imported
from audit.admin.search import query_bar
from audit.admin.search.diff import difference
from audit.admin.search.json_tree import tree
from audit.errors import AuditError
from audit.evidence import proof_bundle
from audit.formats import canonical, merkle, note, times
from audit.formats.erasable.commitments import MEMBER
from audit.formats.grammar import Query
from audit.ledger import keys as ledger_keys
from audit.ledger import purged, reader
from audit.ledger.verify.records import recomputed
from audit.models import Episode, Record
from audit.queue import corrections
from audit.retention import legal_holds
from audit.schemas import in_force
from audit.search import timeline

DATA = ".event_data"
# Of the fields these have a place of their own on the page.
HIDDEN = ("event_data", MEMBER)
TIMES = ("received_at", "parked_at", "stored_at")
ID_CHARACTERS = 60  # of an id that is shown as it was asked for
SLACK = timedelta(seconds=5)  # redis and this host may not agree on the time


class RecordPage(ReadOnly):
    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        record = self.get_object(request, unquote(object_id))
        self.require_view(request, record)
        if record is None:
            raise Http404(_absent(object_id))
        shown = record.in_words()
        document = shown.document()
        made = imported(record.version, shown.event_data)
        context = {
            "title": record.event_type,
            "record": shown,
            **_erasable(record),
            "back": request.GET.get("_changelist_filters", ""),
            "all_of_correlation": query_bar.address(Query().with_term("correlation", record.correlation_id)),
            "digest": bytes(record.digest).hex(),
            "digest_holds": record.digest_holds,
            "checked_at": time_tag(datetime.now(UTC)),
            "state": badge(STATES[record.state], record.state),
            "outcome": badge(OUTCOMES[record.event_outcome], record.event_outcome),
            "imported": made,
            "fields": [
                (name, safe_text.exact(str(value)), _source(made, name))
                for name, value in document.items()
                if name not in HIDDEN
            ],
            "tree": tree(shown.event_data, DATA),
            "difference": difference(shown.event_data, DATA),
            **_schema(record),
            **_way(record),
            **_origin(record),
            **_beside(record),
            "holds": [(hold, time_tag(hold.placed_at)) for hold in legal_holds.of_record(record)],
            **_proof(record),
            **access_log.looks_context(request, record),
        }
        return self.page(request, "detail", **context)

    def proof_view(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        return self._evidence(request, record_id, "tlog-proof", lambda record: reader.evidence(record.id).proof.text)

    def bundle_view(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        return self._evidence(request, record_id, "bundle.jsonl", lambda record: b"".join(proof_bundle.lines([record])))

    def canonical_view(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        """Download exactly the bytes that the digest covers."""
        return self._evidence(request, record_id, "json", lambda record: canonical.canonical(record.document()))

    def _evidence(
        self, request: HttpRequest, record_id: UUID, suffix: str, make: Callable[[Record], str | bytes]
    ) -> HttpResponse:
        record = Record.objects.filter(id=record_id).first()
        self.require_view(request, record)
        if record is None:
            raise Http404(purged.absent(record_id))
        try:
            body = make(record)
        except AuditError as error:
            messages.warning(request, str(error))
            return redirect("admin:audit_record_change", record_id)
        headers = {"Content-Disposition": f'attachment; filename="{record_id}.{suffix}"'}
        return HttpResponse(body, content_type="text/plain; charset=utf-8", headers=headers)


def _source(made: Imported | None, field: str) -> tuple[str, ...] | None:
    """The members of the original that filled a field: none where the mapping itself did, None where nothing did."""
    return made.filled_by.get(field) if made else None


def _absent(object_id: str) -> str:
    try:
        return purged.absent(UUID(unquote(object_id)))
    except ValueError:
        return f"No record has the id {object_id[:ID_CHARACTERS]}."


def _erasable(record: Record) -> dict[str, Any]:
    """Each member that can be erased, with what became of it; and whether anything is left of them."""
    erased = record.values().erased
    members = [(path, erased.get(path)) for path in sorted(record.erasable or {})]
    return {"erasable": members, "may_be_erased": len(erased) < len(members)}


def _schema(record: Record) -> dict[str, Any]:
    """How it fits the schema that holds now; a value that was erased fits none."""
    judged = None if record.values().erased else in_force.judge(record.shown())
    return {"judged": judged, "misfits": list(judged.faults.items()) if judged else []}


def _way(record: Record) -> dict[str, Any]:
    waited = (record.stored_at - record.parked_at) if record.parked_at else None
    return {
        "times": [(name, time_tag(getattr(record, name))) for name in TIMES],
        "happened": time_tag(record.event_timestamp),
        "took": times.precise((record.stored_at - record.received_at).total_seconds()),
        "late": times.precise((record.received_at - record.event_timestamp).total_seconds()),
        "waited": times.precise(waited.total_seconds()) if waited is not None else "",
        "outage": _outage(record.parked_at) if record.parked_at else None,
    }


def _origin(record: Record) -> dict[str, Any]:
    """The event that the record came from: the one that a person corrected, and the parent, if it is a record."""
    correction = corrections.that_made(record)
    parent = record.parent_event_id
    return {
        "correction": correction,
        "corrected_at": time_tag(correction.at) if correction else "",
        "parent_is_record": parent is not None and Record.objects.filter(pk=parent).exists(),
    }


def _outage(parked_at: datetime) -> Episode | None:
    ended = Q(emptied_at__isnull=True) | Q(emptied_at__gte=parked_at - SLACK)
    return Episode.objects.filter(ended, began_at__lte=parked_at + SLACK).first()


def _beside(record: Record) -> dict[str, Any]:
    earlier, later = timeline.beside(record)
    gaps = [
        (name, neighbour, times.precise(abs((neighbour.event_timestamp - record.event_timestamp).total_seconds())))
        for name, neighbour in (("before", earlier), ("after", later))
        if neighbour is not None
    ]
    address = reverse("admin:audit_record_timeline")
    bundles = [("this record", Query().with_term("id", str(record.pk)))]
    # Of what can be erased no other record is found by its value.
    searched = {name: field for name, field in timeline.SUBJECTS.items() if field not in (record.erasable or {})}
    subjects = {name: getattr(record, field) for name, field in searched.items()}
    bundles += [(f"its {name}", Query().with_term(name, value)) for name, value in subjects.items()]
    timelines = [(name, f"{address}?{urlencode({name: value})}") for name, value in subjects.items()]
    return {"neighbours": gaps, "timelines": timelines, "bundles": bundles}


def _proof(record: Record) -> dict[str, Any]:
    try:
        evidence = reader.evidence(record.id)
        keys = ledger_keys.load()
    except AuditError as error:
        return {"evidence": None, "not_sealed": str(error)}
    leaf, head = evidence.leaf, evidence.checkpoint
    try:
        merkle.verify_inclusion(recomputed(record), leaf.index, head.size, evidence.proof.hashes, bytes(head.root))
        note.verify(evidence.proof.note, keys.all_verifiers)
        holds = badge("ok", "the proof holds")
    except (merkle.ProofError, note.NoteError):
        holds = badge("error", "the proof does not hold: what is here is not what was sealed")
    return {
        "evidence": evidence,
        "proof_holds": holds,
        "key": str(keys.verifiers[0]),
        "drawing": ledger.proof(leaf, head, evidence.proof),
    }
