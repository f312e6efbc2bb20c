"""Pages of the sealed log: how large it is, who vouches for it, and each checkpoint as it was signed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse

from audit.admin.base import ReadOnly
from audit.admin.charts import ledger
from audit.admin.display import age, badge, number, time_tag, waiting_records
from audit.admin.ledger import recovery
from audit.errors import KeyMissing
from audit.formats import note
from audit.ledger import anchor, keys, reader, resume, witnesses
from audit.models import Checkpoint

PAGE = 25
FRESH_S = 24 * 3600


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    views: ClassVar = {
        "<int:number>/note/": "note",
        "cross-links/": "cross_links",
        "resume/<int:pk>/decide/": "resume_decide",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        before = request.GET.get("before", "")
        checkpoints = Checkpoint.objects.all()
        if (last := number(before)) >= 0:
            checkpoints = checkpoints.filter(number__lt=last)
        rows = list(checkpoints[: PAGE + 1])
        now = datetime.now(UTC)
        names = _cosigners([row.number for row in rows])
        newest = list(Checkpoint.objects.all()[: ledger.SHOWN + 1])
        head = reader.head()
        return self.page(
            request,
            "list",
            title="The sealed log",
            facts=_facts(head, now),
            trust=trust(head),
            keys=_public(keys.load),
            receipt_keys=_public(keys.receipts),
            chain=ledger.chain(newest, set(_cosigners([row.number for row in newest])), now) if newest else "",
            rows=[(row, time_tag(row.created_at), ", ".join(names.get(row.number, []))) for row in rows[:PAGE]],
            next=rows[PAGE - 1].number if len(rows) > PAGE else None,
            is_first=not before,
            **recovery.facts(request),
        )

    def cross_links_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        text = "\n".join(link.note for link in resume.links())
        headers = {"Content-Disposition": 'attachment; filename="cross-links.txt"'}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)

    def resume_decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return recovery.decide(request, pk)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            title=f"Checkpoint {row.number}",
            row=row,
            created_at=time_tag(row.created_at),
            root=bytes(row.root).hex(),
            note=reader.full_note(row),
            signed=_signatures(row),
        )

    def note_view(self, request: HttpRequest, number: int) -> HttpResponse:
        row = self.row_or_404(request, number)
        headers = {"Content-Disposition": f'attachment; filename="{row.number}.checkpoint"'}
        return HttpResponse(reader.full_note(row), content_type="text/plain; charset=utf-8", headers=headers)


def trust(head: Checkpoint | None) -> list[tuple[Any, str, str]]:
    """Return who could have changed what unnoticed: a badge, by whom, and a sentence."""
    if head is None:
        return [(badge("warning", "nothing yet"), "anybody", "Nothing is sealed yet.")]
    first = Checkpoint.objects.order_by("number")[0]
    text = (
        f"The first {intcomma(head.size)} records, each since it was sealed, the first at "
        f"{first.created_at:%Y-%m-%d %H:%M}Z: the key that signs is not in the database."
    )
    return [(badge("ok", "covered"), "whoever administers the database", text), _operator(head)]


def _operator(head: Checkpoint) -> tuple[Any, str, str]:
    who = "the operator, who has the key"
    cosigned = reader.best_cosigned()
    if cosigned is not None:
        names = " and ".join(_cosigners([cosigned.number])[cosigned.number])
        text = (
            f"The first {intcomma(cosigned.size)} records, as far as {names} is run by somebody else: "
            f"last cosigned {cosigned.created_at:%Y-%m-%d %H:%M}Z."
        )
        stale = (head.created_at - cosigned.created_at).total_seconds() > FRESH_S
        return badge("warning" if stale else "ok", "covered" if not stale else "covered until then"), who, text
    if anchor.has_anchor():
        text = "Only as far as the anchor is on storage that the operator cannot overwrite. No witness cosigns."
        return badge("warning", "depends"), who, text
    return badge("warning", "not covered"), who, "No witness cosigns, and there is no anchor: the operator is trusted."


def _facts(head: Checkpoint | None, now: datetime) -> list[tuple[str, Any]]:
    waiting = reader.waiting()
    lag = waiting_records(waiting.number, waiting.oldest_s) if waiting.number else "nothing waits"
    if head is None:
        return [("Size", "0 records"), ("Waiting", lag)]
    when = age((now - head.created_at).total_seconds())
    last = anchor.last_anchored() if anchor.has_anchor() else None
    return [
        ("Size", f"{intcomma(head.size)} records"),
        ("Newest checkpoint", f"no. {head.number}, {when} ago"),
        ("Waiting", lag),
        ("Witnesses", _witnesses(now)),
        ("Anchor", (f"{intcomma(last.size)} records" if last else "empty") if anchor.has_anchor() else "none"),
    ]


def _witnesses(now: datetime) -> str:
    names = [witness.verifier.name for witness in witnesses.witnesses()]
    if not names:
        return "none configured"
    last = reader.last_cosigned()
    ages = {name: f"{age((now - last[name]).total_seconds())} ago" if name in last else "never" for name in names}
    return ", ".join(f"{name}: {when}" for name, when in ages.items())


def _public(load: Callable[[], Any]) -> list[str]:
    """Return the public keys, the one that signs now first, or why there is none."""
    try:
        return [str(key) for key in load().verifiers]
    except KeyMissing as error:
        return [str(error)]


def _cosigners(numbers: list[int]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for name, _line, checkpoint in reader.cosignatures(numbers):
        names.setdefault(checkpoint, []).append(name)
    return names


def _signatures(row: Checkpoint) -> list[tuple[str, Any, str]]:
    """Return each signature of a checkpoint: whose it is, whether it holds, and what it attests."""
    try:
        verifiers = keys.load().all_verifiers
    except KeyMissing:
        verifiers = []
    verifiers += witnesses.verifiers()
    by_id = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    text, signatures = note.split(reader.full_note(row))
    return [_signature(by_id.get((signature.name, signature.id)), text, signature) for signature in signatures]


def _signature(verifier: note.Verifier | None, text: str, signature: note.Signature) -> tuple[str, Any, str]:
    if verifier is None:
        return signature.name, badge("warning", "not checked"), "its key is not known here"
    try:
        moment = verifier.check(text, signature.blob)
    except note.NoteError:
        return signature.name, badge("error", "does not hold"), ""
    when = "" if moment is None else f", at {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}Z"
    return signature.name, badge("ok", "holds"), f"the tree head{when}"
