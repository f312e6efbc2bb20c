"""The proof of many leaves at once, against the naive tree and against every lie about what lies between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.formats import merkle, multiproof
from tests.audit.formats.conftest import hashes, leaves_of, naive

LEAVES = leaves_of(200)
SHOWN = st.integers(1, 200).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=40).map(sorted))
)
RANGES = st.integers(1, 200).flatmap(
    lambda size: st.integers(0, size - 1).flatmap(
        lambda first: st.integers(first + 1, size).map(lambda last: (size, first, last))
    )
)


def proved(indexes: list[int], size: int) -> list[bytes]:
    return hashes(LEAVES, list(multiproof.between(indexes, size)))


def holds(indexes: list[int], size: int, proof: list[bytes], leaves: list[bytes] = LEAVES) -> bool:
    try:
        multiproof.verify([(index, leaves[index]) for index in indexes], size, proof, naive(LEAVES[:size]))
    except merkle.ProofError:
        return False
    return True


@settings(deadline=None)
@given(SHOWN)
def test_any_leaves_of_any_tree_are_proved_together(case: tuple[int, list[int]]) -> None:
    size, indexes = case
    assert holds(indexes, size, proved(indexes, size))


@settings(deadline=None)
@given(RANGES)
def test_a_range_is_proved_by_its_two_ends(case: tuple[int, int, int]) -> None:
    size, first, last = case
    proof = proved(list(range(first, last)), size)
    assert len(proof) <= 2 * size.bit_length()
    assert holds(list(range(first, last)), size, proof)


@settings(deadline=None, max_examples=60)
@given(RANGES, st.data())
def test_no_leaf_of_a_range_can_be_left_out_changed_or_swapped(case: tuple[int, int, int], data: st.DataObject) -> None:
    size, first, last = case
    indexes = list(range(first, last))
    proof = proved(indexes, size)
    place = data.draw(st.integers(0, len(indexes) - 1))
    root = naive(LEAVES[:size])
    shown = [LEAVES[index] for index in indexes]
    others = [shown[:place] + shown[place + 1 :], [*shown[:place], bytes(32), *shown[place + 1 :]]]
    if len(shown) > 1:
        swapped = list(shown)
        swapped[place], swapped[place - 1] = swapped[place - 1], swapped[place]
        others.append(swapped)
    for other in others:
        # Whatever indexes the liar names: the true ones, or dense ones from the first on.
        with pytest.raises(merkle.ProofError):
            multiproof.verify(zip(range(first, first + len(other)), other, strict=True), size, proof, root)


@settings(deadline=None, max_examples=60)
@given(SHOWN, st.data())
def test_a_proof_with_a_hash_more_less_or_another_one_is_refused(
    case: tuple[int, list[int]], data: st.DataObject
) -> None:
    size, indexes = case
    proof = proved(indexes, size)
    assert not holds(indexes, size, [*proof, bytes(32)])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not holds(indexes, size, proof[:-1])
        assert not holds(indexes, size, [*proof[:place], bytes(32), *proof[place + 1 :]])


def test_leaves_out_of_order_or_out_of_the_tree_are_refused() -> None:
    for indexes in ([3, 2], [2, 2], [9], [-1]):
        with pytest.raises(merkle.ProofError, match="cannot stand"):
            list(multiproof.between(indexes, 8))
        assert not holds(indexes, 8, [])
