"""The kept hashes answer for the whole tree, and tiles have the addresses that the format says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.formats import merkle, tiles
from tests.audit.formats.conftest import leaves_of, naive

SIZE = 70_000
LEAVES = leaves_of(SIZE)


def grown(*steps: int) -> tuple[tiles.Edge, dict[tuple[int, int], bytes]]:
    """An edge that was given its leaves in these steps, and all hashes that are kept then."""
    edge = tiles.Edge()
    kept: dict[tuple[int, int], bytes] = {}
    for step in steps:
        added = LEAVES[edge.size : edge.size + step]
        kept |= {(0, edge.size + place): leaf for place, leaf in enumerate(added)}
        kept |= {(node.level, node.index): node.hash for node in edge.extend(added)}
    return edge, kept


WHOLE, KEPT = grown(SIZE)


def look_up(level: int, index: int) -> bytes:
    return KEPT[level, index]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6))
def test_an_edge_has_the_root_of_the_tree_however_it_grew(steps: list[int]) -> None:
    edge, kept = grown(*steps)
    assert edge.root() == merkle.root(LEAVES[: sum(steps)])
    again = tiles.Edge(edge.size, lambda level, index: kept[level, index])
    more = LEAVES[edge.size : edge.size + 300]
    assert again.extend(more) == edge.extend(more)
    assert again.root() == edge.root() == merkle.root(LEAVES[: edge.size])


def test_a_large_tree_keeps_every_eighth_level() -> None:
    assert WHOLE.root() == merkle.root(LEAVES)
    assert len([place for place in KEPT if place[0] == 1]) == SIZE // 256
    assert [place for place in KEPT if place[0] >= 2] == [(2, 0)]
    assert KEPT[1, 3] == merkle.root(LEAVES[768:1024])
    assert KEPT[2, 0] == merkle.root(LEAVES[:65_536])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_proof_is_computed_from_the_kept_hashes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    proof = [tiles.span_hash(span, look_up) for span in merkle.inclusion_spans(index, size)]
    root = tiles.span_hash((0, size), look_up)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
    old = data.draw(st.integers(1, size))
    steps = [tiles.span_hash(span, look_up) for span in merkle.consistency_spans(old, size)]
    merkle.verify_consistency(old, size, steps, tiles.span_hash((0, old), look_up), root)


def test_a_proof_reads_few_hashes() -> None:
    read = sum(run.last - run.first for run in tiles.runs(merkle.inclusion_spans(5, SIZE)))
    assert read < 256 * 5
    assert {run.level for run in tiles.runs(merkle.inclusion_spans(5, SIZE))} == {0, 1}


def test_runs_that_touch_become_one() -> None:
    runs = [tiles.Run(1, 5, 9), tiles.Run(0, 0, 4), tiles.Run(0, 4, 8), tiles.Run(0, 3, 3), tiles.Run(0, 10, 12)]
    assert tiles.merged(runs) == [tiles.Run(0, 0, 8), tiles.Run(0, 10, 12), tiles.Run(1, 5, 9)]
    for index in (0, 5, 69_999):
        assert len(tiles.merged(tiles.runs(merkle.inclusion_spans(index, SIZE)))) <= 6


def test_a_span_of_a_small_tree_is_that_of_the_naive_one() -> None:
    for first in range(0, 40, 3):
        span = (first, 40)
        assert tiles.span_hash((0, first + 1), look_up) == naive(LEAVES[: first + 1])
        assert sum(run.last - run.first for run in tiles.runs([span])) == 40 - first


@pytest.mark.parametrize(("index", "path"), [(0, "000"), (67, "067"), (1000, "x001/000"), (1234067, "x001/x234/067")])
def test_addresses_are_groups_of_three_digits(index: int, path: str) -> None:
    assert tiles.path(index) == path
    assert tiles.read_path(path) == index


@pytest.mark.parametrize(
    "path", ["", "0", "67", "0067", "x000/067", "001/000", "x001", "x001/", "x001/x00", "x00a/000", "\u0660" * 3]
)
def test_other_addresses_are_refused(path: str) -> None:
    with pytest.raises(ValueError):
        tiles.read_path(path)
