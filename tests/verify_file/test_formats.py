"""The verifier that is one file: canonical form and proofs are as published, and those of other implementations."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.auditor import VECTORS, verify


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_canonical_form_is_as_published(case: dict[str, str]) -> None:
    assert verify.canonical(json.loads(case["input"])).hex() == case["canonical_hex"]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_canonical_form_is_the_one_of_another_implementation(value: Any) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)


def test_the_published_proof_verifies() -> None:
    from tests.audit.formats.conftest import LOG_KEY as KEY
    from tests.audit.formats.conftest import PROOF, WITNESS

    proof_read = verify.read_proof(PROOF)
    trust = verify.Trust([verify.read_key(KEY, (1,))], [verify.read_key(WITNESS, (4,))], 1)
    checkpoint = trust.checkpoint(proof_read.note)
    leaf_hash = hashlib.sha256(b"\x00" + bytes.fromhex("40414243")).digest()
    verify.check_inclusion(leaf_hash, proof_read.index, checkpoint.size, proof_read.hashes, checkpoint.root)
    assert checkpoint.witnessed == {"witness.example/w1": 1679315147}
