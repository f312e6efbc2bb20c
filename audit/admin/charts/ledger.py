"""SVG figures of the log. They use classes only, for the pages allow no inline style."""

from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.admin.display import age
from audit.formats import merkle, note
from audit.models import Checkpoint, Leaf

STEP, WIDTH = 46, 720
BOX_WIDTH, BOX_GAP, SHOWN = 104, 26, 6


def proof(leaf: Leaf, checkpoint: Checkpoint, evidence: note.Proof) -> SafeString:
    """Draw the path from a leaf up to the signed root, with the hash that is combined on each side."""
    spans = merkle.inclusion_spans(leaf.index, checkpoint.size)
    steps: list[dict[str, Any]] = []
    current, leaf_y = bytes(leaf.leaf_hash), 20 + STEP * len(evidence.hashes)
    for place, ((first, last), sibling) in enumerate(zip(spans, evidence.hashes, strict=True), 1):
        from_left = first < leaf.index
        current = merkle.node_hash(sibling, current) if from_left else merkle.node_hash(current, sibling)
        step = {
            "y": leaf_y - STEP * place,
            "sibling_x": 10 if from_left else WIDTH - 240,
            "path_x": WIDTH // 2,
            "from_left": from_left,
            "hash": sibling.hex()[:16],
            "span": f"leaf {first:,}" if last == first + 1 else f"leaves {first:,} to {last - 1:,}",
            "result": current.hex()[:16],
        }
        steps.insert(0, step)
    context = {
        "steps": steps,
        "leaf_y": leaf_y,
        "height": leaf_y + 44,
        "width": WIDTH,
        "middle": WIDTH // 2,
        "leaf": bytes(leaf.leaf_hash).hex()[:16],
        "index": leaf.index,
        "root": bytes(checkpoint.root).hex()[:16],
        "size": checkpoint.size,
    }
    return SafeString(render_to_string("admin/audit/checkpoint/proof.svg", context))


def chain(newest_first: list[Checkpoint], cosigned: set[int], now: datetime) -> SafeString:
    rows = newest_first[: SHOWN + 1][::-1]
    before = rows.pop(0).size if len(rows) > SHOWN else 0
    boxes = []
    for place, row in enumerate(rows):
        box = {
            "x": place * (BOX_WIDTH + BOX_GAP) + 4,
            "number": row.number,
            "size": f"{row.size:,}",
            "added": f"+{row.size - before:,}" if row.size != before else "no new",
            "ago": age((now - row.created_at).total_seconds()),
            "cosigned": row.number in cosigned,
        }
        boxes.append(box)
        before = row.size
    width = max(len(boxes), 1) * (BOX_WIDTH + BOX_GAP)
    return SafeString(render_to_string("admin/audit/checkpoint/chain.svg", {"boxes": boxes, "width": width}))
