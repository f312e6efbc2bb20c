"""The Merkle tree against published vectors, a naive tree, an implementation that is not ours, and flipped bits."""

import base64
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.formats import merkle
from tests.audit.formats.conftest import hashes, leaves_of, naive

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "merkle-proofs.json").read_text())
DATA = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
DATA.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
LEAVES = [merkle.leaf_hash(data) for data in DATA]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def decoded(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


def refused(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except merkle.ProofError:
        return True
    return False


def test_all_published_cases_are_here() -> None:
    assert (len(VECTORS["inclusion"]), len(VECTORS["consistency"])) == (98, 98)


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: f"{case['case']} {case['desc']}")
def test_inclusion_as_published(case: dict[str, Any]) -> None:
    arguments = (case["leafIdx"], case["treeSize"], decoded(case["proof"]), base64.b64decode(case["root"]))
    found = refused(merkle.verify_inclusion, base64.b64decode(case["leafHash"]), *arguments)
    assert found is case["wantErr"]


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: f"{case['case']} {case['desc']}")
def test_consistency_as_published(case: dict[str, Any]) -> None:
    roots = [base64.b64decode(case[name]) for name in ("root1", "root2")]
    found = refused(merkle.verify_consistency, case["size1"], case["size2"], decoded(case["proof"]), *roots)
    assert found is case["wantErr"]


def test_hashes_and_roots_as_published() -> None:
    assert merkle.leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = merkle.node_hash(b"N123", b"N456").hex()
    assert node == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert [merkle.root(LEAVES[:size]).hex() for size in range(9)] == ROOTS


def test_proofs_as_published() -> None:
    found = [one.hex() for one in hashes(LEAVES, merkle.inclusion_spans(5, 8))]
    assert [(one[:8], one[-4:]) for one in found] == [("bc1a0643", "9e6b"), ("ca854ea1", "0ae0"), ("d37ee418", "14b7")]
    assert [one[:8].hex()[:8] for one in hashes(LEAVES, merkle.consistency_spans(2, 5))] == ["5f083f0a", "bc1a0643"]
    steps = [one.hex()[:8] for one in hashes(LEAVES, merkle.consistency_spans(6, 8))]
    assert steps == ["0ebc5d34", "ca854ea1", "d37ee418"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2000))
def test_the_compact_range_agrees_with_the_naive_tree(size: int) -> None:
    leaves = leaves_of(size)
    assert merkle.root(leaves) == naive(leaves)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_inclusion_proofs_hold_and_no_others(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 2000))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    proof = hashes(leaves, merkle.inclusion_spans(index, size))
    expected = naive(leaves)
    merkle.verify_inclusion(leaves[index], index, size, proof, expected)
    other = data.draw(st.integers(0, size - 1).filter(lambda found: found != index)) if size > 1 else size
    assert refused(merkle.verify_inclusion, leaves[index], other, size, proof, expected)
    for shorter_or_longer in (proof[:-1], [*proof, expected]):
        if shorter_or_longer != proof:
            assert refused(merkle.verify_inclusion, leaves[index], index, size, shorter_or_longer, expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_consistency_proofs_hold_and_no_others(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 2000))
    old = data.draw(st.integers(1, new))
    leaves = leaves_of(new)
    proof = hashes(leaves, merkle.consistency_spans(old, new))
    roots = naive(leaves[:old]), naive(leaves)
    merkle.verify_consistency(old, new, proof, *roots)
    assert refused(merkle.verify_consistency, old, new, proof, merkle.EMPTY_ROOT, roots[1])
    assert refused(merkle.verify_consistency, old, new, [*proof, roots[1]], *roots)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (5, 8), (6, 7), (100, 199)])
def test_no_byte_of_an_inclusion_proof_may_change(index: int, size: int) -> None:
    leaves = leaves_of(size)
    proof = hashes(leaves, merkle.inclusion_spans(index, size))
    parts = [leaves[index], *proof, naive(leaves)]
    for changed in flipped(parts):
        assert refused(merkle.verify_inclusion, changed[0], index, size, changed[1:-1], changed[-1])


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 8), (6, 8), (100, 199)])
def test_no_byte_of_a_consistency_proof_may_change(old: int, new: int) -> None:
    leaves = leaves_of(new)
    parts = [naive(leaves[:old]), naive(leaves), *hashes(leaves, merkle.consistency_spans(old, new))]
    for changed in flipped(parts):
        assert refused(merkle.verify_consistency, old, new, changed[2:], *changed[:2])


def flipped(parts: list[bytes]) -> Any:
    """The parts, with one byte different each time."""
    for at, part in enumerate(parts):
        for place in range(len(part)):
            damaged = bytearray(part)
            damaged[place] ^= 1 << random.randrange(8)
            yield [*parts[:at], bytes(damaged), *parts[at + 1 :]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100, 257])
def test_an_implementation_that_is_not_ours_computes_the_same(size: int) -> None:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for index in range(size):
        tree.append_entry(index.to_bytes(4, "big"))
    leaves = leaves_of(size)
    assert tree.get_root() == merkle.root(leaves)
    for index in {0, size // 2, size - 1}:
        path = tree.prove_inclusion(index + 1, size).path
        assert path[1:] == hashes(leaves, merkle.inclusion_spans(index, size))
    for old in {1, size // 2 or 1, size}:
        proof = tree.prove_consistency(old, size)
        pymerkle.verify_consistency(naive(leaves[:old]), naive(leaves), proof)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_perfect_spans_cover_the_span_once_each_aligned(first: int, length: int) -> None:
    spans = merkle.perfect_spans(first, first + length)
    assert sum(last - start for start, last in spans) == length
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    for start, last in spans:
        assert (last - start).bit_count() == 1
        assert start % (last - start) == 0


def test_a_compact_range_takes_whole_subtrees() -> None:
    leaves = leaves_of(13)
    tree = merkle.CompactRange()
    for first, last in [(0, 4), (4, 8), (8, 12), (12, 13)]:
        tree.append_subtree(naive(leaves[first:last]), last - first)
    assert (tree.size, tree.root()) == (13, naive(leaves))
    with pytest.raises(ValueError, match="cannot stand at index 13"):
        tree.append_subtree(leaves[0], 2)
    with pytest.raises(ValueError, match="3 perfect subtrees"):
        merkle.CompactRange(13, [leaves[0]])


@pytest.mark.parametrize("spans", [lambda: merkle.inclusion_spans(3, 3), lambda: merkle.consistency_spans(4, 3)])
def test_what_is_not_in_the_tree_has_no_proof(spans: Any) -> None:
    with pytest.raises(merkle.ProofError):
        spans()
