"""Signed notes, checkpoints, cosignatures and proofs against published vectors, and what is refused."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.formats import merkle, note
from audit.formats.note import NoteError, Signer, TreeHead, Verifier
from tests.audit.formats.conftest import LOG_KEY, PROOF, WITNESS

FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Signer("audit.example/log1", bytes(range(32)))
COSIGNER = Signer("witness.example/w1", bytes(range(32, 64)))


def test_published_notes_verify() -> None:
    assert note.verify(FOO_NOTE, [Verifier.parse(FOO)])[0] == "This is an example message.\n"
    published = note.join(NEUMANN_TEXT, [NEUMANN_LINE])
    assert note.verify(published, [Verifier.parse(NEUMANN)])[0] == NEUMANN_TEXT


def test_a_published_private_key_signs_as_published() -> None:
    signer = Signer.parse(NEUMANN_SECRET)
    assert signer.sign(NEUMANN_TEXT) == NEUMANN_LINE
    assert str(signer) == NEUMANN
    assert signer.encode() == NEUMANN_SECRET
    assert "AYEK" not in repr(signer)


def test_keys_made_from_seeds_are_the_vectors() -> None:
    assert str(SIGNER) == LOG_KEY
    assert str(COSIGNER.verifier.as_cosigner()) == WITNESS


def test_the_proof_vector_verifies_to_the_leaf() -> None:
    proof = note.parse_proof(PROOF)
    text, signed = note.verify(proof.note, [Verifier.parse(LOG_KEY), Verifier.parse(WITNESS)])
    checkpoint = TreeHead.parse(text)
    assert [(found.verifier.name, found.moment) for found in signed] == [
        ("audit.example/log1", None),
        ("witness.example/w1", 1679315147),
    ]
    leaf = merkle.leaf_hash(bytes.fromhex("40414243"))
    merkle.verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    assert proof.text == PROOF
    assert checkpoint.text == text


def test_the_vectors_signatures_are_made_again() -> None:
    text = note.split(note.parse_proof(PROOF).note)[0]
    assert note.join(text, [SIGNER.sign(text), COSIGNER.cosign(text, 1679315147)]) == note.parse_proof(PROOF).note


def test_extra_data_of_a_proof_is_passed_over() -> None:
    extra = PROOF.replace("index 5", "extra aGVsbG8=\nindex 5")
    assert note.parse_proof(extra) == note.parse_proof(PROOF)


def test_unknown_signatures_are_passed_over_and_known_ones_must_hold() -> None:
    text = NEUMANN_TEXT
    other = Signer("somebody", bytes(32))
    signed = note.join(text, [NEUMANN_LINE, other.sign(text)])
    assert len(note.verify(signed, [Verifier.parse(NEUMANN)])[1]) == 1
    assert len(note.verify(signed, [Verifier.parse(NEUMANN), other.verifier])[1]) == 2
    forged = note.join(text, [NEUMANN_LINE, other.sign("something else\n")])
    with pytest.raises(NoteError, match="somebody does not hold"):
        note.verify(forged, [Verifier.parse(NEUMANN), other.verifier])
    with pytest.raises(NoteError, match="no key that is known"):
        note.verify(signed, [Verifier.parse(FOO)])


def test_a_key_of_the_same_name_and_another_id_is_unknown() -> None:
    impostor = Signer(SIGNER.name, bytes(32))
    with pytest.raises(NoteError, match="no key that is known"):
        note.verify(note.join("text\n", [impostor.sign("text\n")]), [SIGNER.verifier])


def test_signatures_begin_after_the_last_blank_line() -> None:
    text = f"first\n\n{NEUMANN_LINE}"
    assert note.split(note.join(text, [SIGNER.sign(text)]))[0] == text


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— name AAAA\n",
        "text\n\n— name AAAAAAA\n",
        "text\n\n— name AAAAAAB=\n",
        "te\x01xt\n\n— name AAAAAAAA\n",
        "te\rxt\n\n— name AAAAAAAA\n",
        "te\ud800xt\n\n— name AAAAAAAA\n",
        "text\n\n— na\udfffme AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n" + "— name AAAAAAAA\n" * 65,
        "x" * 70_000 + "\n\n— name AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(damaged: str) -> None:
    with pytest.raises(NoteError):
        note.split(damaged)


def test_half_a_character_under_the_name_and_id_of_a_known_key_is_refused_as_no_note() -> None:
    """It cannot be encoded, so that nothing was ever signed with it."""
    with pytest.raises(NoteError, match="half a character"):
        note.verify(note.join("te\ud800xt\n", [SIGNER.sign("text\n")]), [SIGNER.verifier])


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "na\ud800me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "name",
        "name+12345678",
        FOO.replace("530d903a", "530d903b"),
        FOO[:-4],
        FOO.replace("foo", "bar"),
        "na me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        f"name+00000000+{base64.b64encode(bytes([9]) + bytes(32)).decode()}",
    ],
)
def test_damaged_verifier_keys_are_refused(damaged: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(damaged)


@pytest.mark.parametrize("damaged", ["", FOO, NEUMANN_SECRET[:-4], NEUMANN_SECRET.replace("c74f20a3", "c74f20a4")])
def test_damaged_private_keys_are_refused_without_being_quoted(damaged: str) -> None:
    with pytest.raises(NoteError) as refused:
        Signer.parse(damaged)
    assert "AYEK" not in str(refused.value)


ROOT = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n8\n",
        f"origin\n08\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n+8\n{ROOT}\n",
        f"origin\n8 \n{ROOT}\n",
        f"origin\n٨\n{ROOT}\n",
        "origin\n8\nAAAA\n",
        f"\n8\n{ROOT}\n",
        f"origin\n8\n{ROOT}\n\nmore\n",
        f"origin\n8\n{ROOT}",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        TreeHead.parse(text)


def test_extension_lines_are_allowed() -> None:
    assert TreeHead.parse(f"origin\n8\n{ROOT}\nmore\n").size == 8


@pytest.mark.parametrize(
    "damaged",
    [
        PROOF.replace("index 5", "index 05"),
        PROOF.replace("index 5\n", ""),
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("vBoG", "vBo"),
        PROOF.replace("\n\n", "\n"),
        PROOF.replace("index 5\n", "index 5\n" + "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n" * 64),
    ],
)
def test_damaged_proofs_are_refused(damaged: str) -> None:
    with pytest.raises(NoteError):
        note.parse_proof(damaged)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PROOF.encode()) - 1), st.integers(0, 7))
def test_no_bit_of_a_proof_may_change(place: int, bit: int) -> None:
    damaged = bytearray(PROOF.encode())
    damaged[place] ^= 1 << bit
    verifiers = [Verifier.parse(LOG_KEY), Verifier.parse(WITNESS)]
    with pytest.raises((NoteError, merkle.ProofError, UnicodeDecodeError)):
        proof = note.parse_proof(damaged.decode())
        text, signed = note.verify(proof.note, verifiers)
        if len(signed) < 2:  # a line whose name or id was damaged is one of an unknown key
            raise NoteError
        found = TreeHead.parse(text)
        leaf = merkle.leaf_hash(bytes.fromhex("40414243"))
        merkle.verify_inclusion(leaf, proof.index, found.size, proof.hashes, found.root)
