"""SVG figures of the log. They use classes only, for the pages allow no inline style."""

from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.admin.display import age
from audit.formats import merkle, note
from audit.models import Checkpoint, Leaf

STEP, WIDTH = 46, 720
BOX_WIDTH, BOX_GAP, SHOWN = 104, 26, 6


class ProofStep(NamedTuple):
    """One line of a proof: what is combined with the hash from below."""

    y: int
    sibling_x: int
    path_x: int
    from_left: bool
    hash: str
    span: str
    result: str


class CheckpointBox(NamedTuple):
    x: int
    number: int
    size: str
    added: str
    ago: str
    cosigned: bool


def proof(leaf: Leaf, checkpoint: Checkpoint, evidence: note.Proof) -> SafeString:
    """Draw the path from a leaf up to the signed root, with the hash that is combined on each side."""
    steps: list[ProofStep] = []
    current = bytes(leaf.leaf_hash)
    spans = merkle.inclusion_spans(leaf.index, checkpoint.size)
    for place, (span, sibling) in enumerate(zip(spans, evidence.hashes, strict=True)):
        from_left = span[0] < leaf.index
        current = merkle.node_hash(sibling, current) if from_left else merkle.node_hash(current, sibling)
        steps.append(_step(place, span, sibling, from_left, current))
    steps.reverse()
    count = len(steps)
    lines = [step._replace(y=20 + STEP * place) for place, step in enumerate(steps)]
    context = {
        "steps": lines,
        "leaf_y": 20 + STEP * count,
        "height": 20 + STEP * count + 44,
        "width": WIDTH,
        "middle": WIDTH // 2,
        "leaf": bytes(leaf.leaf_hash).hex()[:16],
        "index": leaf.index,
        "root": bytes(checkpoint.root).hex()[:16],
        "size": checkpoint.size,
    }
    return SafeString(render_to_string("admin/audit/checkpoint/proof.svg", context))


def _step(place: int, span: merkle.Span, sibling: bytes, from_left: bool, result: bytes) -> ProofStep:
    first, last = span
    covered = f"leaf {first:,}" if last == first + 1 else f"leaves {first:,} to {last - 1:,}"
    x = 10 if from_left else WIDTH - 240
    return ProofStep(0, x, WIDTH // 2, from_left, sibling.hex()[:16], covered, result.hex()[:16])


def chain(newest_first: list[Checkpoint], cosigned: set[int], now: Any) -> SafeString:
    """Draw the newest checkpoints as a chain, the oldest on the left."""
    rows = newest_first[: SHOWN + 1][::-1]
    before = rows[0].size if len(rows) > SHOWN else 0
    shown = rows[1:] if len(rows) > SHOWN else rows
    boxes = []
    for place, row in enumerate(shown):
        added = f"+{row.size - before:,}" if row.size != before else "no new"
        ago = age((now - row.created_at).total_seconds())
        x = place * (BOX_WIDTH + BOX_GAP) + 4
        boxes.append(CheckpointBox(x, row.number, f"{row.size:,}", added, ago, row.number in cosigned))
        before = row.size
    width = max(len(boxes), 1) * (BOX_WIDTH + BOX_GAP)
    return SafeString(render_to_string("admin/audit/checkpoint/chain.svg", {"boxes": boxes, "width": width}))
