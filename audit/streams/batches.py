"""batches: lines in portions that a target takes at once, bounded in records and in bytes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from audit.streams.leaves import Line


class Batch(NamedTuple):
    """Lines that follow each other; `refused` says why the content of a record is left out, by its log entry."""

    lines: Sequence[Line]
    refused: dict[int, str]

    @property
    def first(self) -> int:
        return self.lines[0].leaf

    @property
    def last(self) -> int:
        """The log entry after the last one."""
        return self.lines[-1].leaf + 1

    @property
    def bytes(self) -> int:
        return sum(len(line.body) for line in self.lines)

    def halves(self) -> tuple["Batch", "Batch"]:
        """The two halves of a batch of two lines at least."""
        middle = len(self.lines) // 2
        first, second = self.lines[:middle], self.lines[middle:]
        return (
            Batch(first, {index: why for index, why in self.refused.items() if index < second[0].leaf}),
            Batch(second, {index: why for index, why in self.refused.items() if index >= second[0].leaf}),
        )

    def with_references(self, why: dict[int, str]) -> "Batch":
        """The batch with a reference in the place of each of these records."""
        lines = [line.reference(why[line.leaf]) if line.leaf in why else line for line in self.lines]
        return Batch(lines, self.refused | why)


def batches(
    lines: Iterable[Line], *, most_records: int, most_bytes: int, most_record_bytes: int = 0
) -> Iterator[Batch]:
    """Yield all lines in batches; one with more than `most_record_bytes`, where that is not 0, as a reference."""
    waiting: list[Line] = []
    refused: dict[int, str] = {}
    total = 0
    for line in lines:
        size, why = len(line.body), ""
        if most_record_bytes and size > most_record_bytes:
            why = f"it has {size:,} bytes, and the target takes {most_record_bytes:,}"
            line = line.reference(why)
            size = len(line.body)
        if waiting and (len(waiting) >= most_records or total + size > most_bytes):
            yield Batch(waiting, refused)
            waiting, refused, total = [], {}, 0
        waiting.append(line)
        total += size
        if why:
            refused[line.leaf] = why
    if waiting:
        yield Batch(waiting, refused)
