"""Verify every leaf with its record, and the tree over the leaves with its nodes and signed roots, in one stream."""

import heapq
import time
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter

from audit.errors import LogDamaged
from audit.formats.tiles import Edge, Node, Run
from audit.ledger import reader
from audit.ledger.verify import checkpoints
from audit.ledger.verify.checkpoints import Head
from audit.ledger.verify.records import COLUMNS, Checked, check_each
from audit.ledger.verify.removed import Removed
from audit.ledger.verify.result import RunReport, Verdict
from audit.postgres import portions, sql

CHUNK = 2000
# What a chunk of heavy events is cut at.
CHUNK_BYTES = 4 * portions.PORTION_BYTES
# So often the place is saved, and the clock looked at: a part of a run may have less than a minute.
SAVE_EVERY_S = 1.0
# So many heads, of one size or of several, are compared between two looks at the clock.
CHECKPOINTS = 2 * checkpoints.CHUNK
LEAVES = f"""
SELECT l.index, l.record_id, l.leaf_hash, {COLUMNS}
FROM audit_leaf l LEFT JOIN {sql.RECORD_OF_LEAF}
WHERE l.index >= %s AND l.index < %s ORDER BY l.index
"""


class TreeCheck:
    """Grows the tree leaf by leaf, and compares it with nodes and signed roots."""

    def __init__(self, report: RunReport, heads: Iterator[Head], first: int, using: str):
        self._report = report
        self._using = using
        self._heads = heads
        self._head = next(heads, None)
        self._edge: Edge | None = None
        self._good = first  # the last size at which the root was the signed one
        self._heads_passed = 0  # since the start
        try:
            self._edge = reader.edge(first, using)
        except LogDamaged as error:
            self._break(Verdict.MISSING, "node", str(error), first)
            return
        self._compare()

    def parts(self, rows: list[Checked]) -> Iterator[list[Checked]]:
        """Cut the rows at each signed size; each part is to be added before the next is asked for."""
        start = 0
        while start < len(rows):
            end = len(rows)
            if self._head is not None and self._edge is not None:
                end = min(end, start + self._head.size - self._edge.size)
            yield rows[start:end]
            start = end

    def extend(self, rows: list[Checked]) -> None:
        """Add the leaves of such a part, and compare the tree with what was signed where it ends.

        Raises `OutOfTime` where the report's time is over; its run resumes among the heads of this size.
        """
        if self._edge is not None:
            self._check_nodes(self._edge.extend([row.leaf_hash for row in rows]))
            self._compare()

    def finish(self, last: int) -> None:
        """Report the heads that are left: their sizes are beyond the log, or were reached only after this run began.

        Raises `OutOfTime`.
        """
        while self._head is not None and self._edge is not None:
            head, size = self._head, self._edge.size
            if head.kind is not None and size < head.size <= reader.signed_size(self._using):
                self._compare_with_now(head)
            elif head.kind is not None:
                where = f"{head.name} was signed over {head.size} records"
                detail = f"{where}, and the log has {size}: the end of it is gone."
                self._report.find(Verdict.MISSING, head.subject, detail, index=size)
            self._passed(head, size)
            self._head = next(self._heads, None)
        if self._edge is not None and self._good < last:
            self._report.leave_out(f"The leaves {self._good} to {last - 1} were not compared with a signed root.")

    def gap(self, first: int, last: int) -> None:
        """Report missing leaves: the tree cannot be computed past them."""
        self._break(Verdict.MISSING, "leaf", f"The leaves {first} to {last - 1} are gone.", first)

    def _compare(self) -> None:
        while self._head is not None and self._edge is not None and self._head.size <= self._edge.size:
            head = self._head
            if head.kind is not None:
                # An anchor may have lines that are not in order.
                in_order = head.size == self._edge.size
                computed = self._edge.root() if in_order else reader.root(head.size, self._using)
                if computed != head.root:
                    self._refute(head, head.kind)
                    return
                self._good = max(self._good, head.size)
                self._report.count("roots")
            self._passed(head, self._edge.size)
            self._head = next(self._heads, None)

    def _passed(self, head: Head, size: int) -> None:
        """Move the run's place past a head, before the next is read. Raises `OutOfTime`."""
        for what, number in head.counts:
            if number:
                self._report.count(what, number)
        run = self._report.run
        run.checkpoints_position = run.checkpoints_position if head.number is None else head.number
        run.anchor_place = head.place or run.anchor_place
        self._heads_passed += 1
        if self._heads_passed % CHECKPOINTS == 0:
            self._report.reached(size)
            self._report.stop_if_late()

    def _compare_with_now(self, head: Head) -> None:
        """Compare a head with the log as it is now: it has grown past what this run covers."""
        try:
            same = reader.root(head.size, self._using) == head.root
        except LogDamaged:
            return  # the run that covers it will report the fault
        if not same:
            detail = f"{head.name} has another root for the first {head.size} records: the log is another one."
            self._report.find(Verdict.FORKED, head.subject, detail, index=head.size)

    def _refute(self, head: Head, kind: Verdict) -> None:
        where = f"between leaf {self._good} and leaf {max(head.size - 1, 0)}"
        if kind is Verdict.FORKED:
            detail = f"{head.name} has another root for the first {head.size} records: {where} the log is another one."
        else:
            detail = f"The leaves do not lead to the root of {head.name}: {where} one was changed after it was signed."
        self._break(kind, "tree" if head.subject == "checkpoint" else head.subject, detail, self._good)

    def _break(self, kind: Verdict, subject: str, detail: str, index: int) -> None:
        self._report.find(kind, subject, detail, index=index)
        # The heads that are left are passed over: whoever resumes begins with those that are signed where it begins.
        self._report.run.checkpoints_position, self._report.run.anchor_place = None, ""
        self._report.leave_out(f"The tree was not compared past leaf {index}: it is another one from there on.", "tree")
        self._edge = None

    def _check_nodes(self, nodes: list[Node]) -> None:
        if not nodes:
            return
        self._report.count("nodes", len(nodes))
        look_up = reader.hashes([Run(node.level, node.index, node.index + 1) for node in nodes], self._using)
        for node in nodes:
            place = f"Node {node.index} of level {node.level}"
            try:
                same = look_up(node.level, node.index) == node.hash
            except LogDamaged:
                self._report.find(Verdict.MISSING, "node", f"{place} is gone.", index=node.index)
                continue
            if not same:
                detail = f"{place} is not what its leaves lead to: the node or a leaf below it was changed."
                self._report.find(Verdict.ALTERED, "node", detail, index=node.index)


def check(report: RunReport, heads: list[Iterator[Head]], first: int, last: int, using: str) -> None:
    """Check the leaves first .. last-1 with their records, and the tree with the signed roots `heads`.

    Raises `OutOfTime` where the report's time is over; `report.run.position` says where.
    """
    removed = Removed(report, using)
    tree = TreeCheck(report, heapq.merge(*heads, key=attrgetter("size")), first, using)
    start, saved_at = first, time.monotonic()
    while start < last:
        end = min(start + CHUNK, last)
        rows = check_each(LEAVES, [start, end], using, CHUNK_BYTES)
        end = rows[-1].leaf_index + 1 if rows else end
        _check_dense(tree, rows, start, end)
        for part in tree.parts(rows):
            _check_records(report, part, removed)
            tree.extend(part)
        if end < last and time.monotonic() - saved_at >= SAVE_EVERY_S:
            report.reached(end)  # from there a killed run resumes
            report.stop_if_late()
            saved_at = time.monotonic()
        start = end
    tree.finish(last)
    report.reached(last)


def _check_dense(tree: TreeCheck, rows: list[Checked], start: int, end: int) -> None:
    indexes = [start - 1, *(row.leaf_index for row in rows), end]
    for before, after in pairwise(indexes):
        if after != before + 1:
            tree.gap(before + 1, after)


def _check_records(report: RunReport, rows: list[Checked], removed: Removed) -> None:
    report.count("leaves", len(rows))
    removed.look(rows)
    for row in rows:
        if not row.is_here:
            if removed.explains(row):
                continue
            detail = f"The record of leaf {row.leaf_index} is gone: it was sealed, and the store no longer has it."
            report.find(Verdict.MISSING, "record", detail, record_id=row.record_id, index=row.leaf_index)
            continue
        report.count("records")
        if row.fault is not None:
            what = "is not whole" if row.is_lost else "was changed"
            detail = f"The record of leaf {row.leaf_index} {what}: {row.fault}."
            report.find(
                Verdict.MISSING if row.is_lost else Verdict.ALTERED,
                "record",
                detail,
                record_id=row.record_id,
                index=row.leaf_index,
            )
