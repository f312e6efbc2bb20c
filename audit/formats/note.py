"""Signed notes, tree heads and proofs as text (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof).

The formats are specified at https://c2sp.org.
"""

import base64
import binascii
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
DASH = "—"
MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 64
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
# Halves of characters, which text from JSON may have, cannot be encoded: nothing was ever signed with them.
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]+\Z")
_NOT_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)


class NoteError(ValueError):
    """The text is not a note, or no known key's signature on it holds."""


class UnknownKey(NoteError):
    """None of the known keys signed this."""


def decode64(text: str) -> bytes:
    """Decode base64 in its canonical spelling. Raises `NoteError`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{text[:80]!r} is not base64") from None
    if encode64(data) != text:
        raise NoteError(f"{text[:80]!r} is not the canonical base64 of its bytes")
    return data


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the four bytes that tell keys of one name apart."""
    return hashlib.sha256(f"{name}\n".encode() + bytes([kind]) + public).digest()[:4]


@dataclass(frozen=True)
class Verifier:
    """A public key with its name. `kind` is ED25519 for logs, COSIGNATURE for witnesses."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read `name+id+base64(kind || key)`. Raises `NoteError`."""
        name, identifier, encoded = _three(text, "a verifier key is name+id+base64")
        data = decode64(encoded)
        if len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteError(f"the verifier key of {name} is neither Ed25519 nor an Ed25519 cosignature key")
        verifier = cls(name, data[0], data[1:])
        if verifier.id.hex() != identifier:
            raise NoteError(f"the verifier key of {name} is damaged: its id should be {verifier.id.hex()}")
        return verifier

    # Cached, as the signer's key is: it stands in every receipt.
    @cached_property
    def id(self) -> bytes:
        return key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    def as_cosigner(self) -> "Verifier":
        return Verifier(self.name, COSIGNATURE, self.public)

    def check(self, text: str, signature: bytes) -> int | None:
        """Check a signature over a note's text; return the time it attests, in Unix seconds. Raises `NoteError`."""
        moment, message = None, text.encode()
        if self.kind == COSIGNATURE:
            moment, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = cosigned_message(text, moment)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise NoteError(f"the signature of {self.name} does not hold") from None
        return moment


class AnySigner(ABC):
    """What signs notes under a name, wherever its private key is."""

    name: str
    # Whether to sign is but to compute: else it may take long, and fail.
    is_at_hand: ClassVar[bool] = True

    @property
    @abstractmethod
    def verifier(self) -> Verifier:
        """The public half."""

    @abstractmethod
    def encode(self) -> str:
        """Return what the file of the key has."""

    @abstractmethod
    def _signature(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""

    def __str__(self) -> str:
        return str(self.verifier)

    def sign(self, text: str) -> str:
        """Return a signature line over a note's text."""
        return self._line(self.verifier.id, self._signature(text.encode()))

    def cosign(self, text: str, moment: int) -> str:
        """Return a signature line that also attests `moment`, in Unix seconds."""
        signature = self._signature(cosigned_message(text, moment))
        return self._line(self.verifier.as_cosigner().id, moment.to_bytes(8, "big") + signature)

    def _line(self, identifier: bytes, blob: bytes) -> str:
        return f"{DASH} {self.name} {encode64(identifier + blob)}\n"


@dataclass(frozen=True)
class Signer(AnySigner):
    """A private key with its name. Never print it: `str()` shows the public half."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read `PRIVATE+KEY+name+id+base64(0x01 || seed)`. Raises `NoteError`, which never quotes the key."""
        if not text.startswith("PRIVATE+KEY+"):
            raise NoteError("a private key starts with PRIVATE+KEY+")
        try:
            name, identifier, encoded = _three(text.removeprefix("PRIVATE+KEY+"), "")
            data = decode64(encoded)
        except NoteError:
            raise NoteError("the private key is damaged: it is PRIVATE+KEY+name+id+base64") from None
        if len(data) != 33 or data[0] != ED25519:
            raise NoteError(f"the private key of {name} is not Ed25519")
        signer = cls(name, data[1:])
        if signer.verifier.id.hex() != identifier:
            raise NoteError(f"the private key of {name} is damaged: it does not fit its id")
        return signer

    def encode(self) -> str:
        """Return the private key as text: a secret."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{encode64(bytes([ED25519]) + self.seed)}"

    # Cached: every event waits for the signature on its receipt.
    @cached_property
    def verifier(self) -> Verifier:
        return Verifier(self.name, ED25519, self._private.public_key().public_bytes_raw())

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def _signature(self, message: bytes) -> bytes:
        return self._private.sign(message)


class Signature(NamedTuple):
    """One signature line of a note, not checked yet."""

    name: str
    id: bytes
    blob: bytes


class Attestation(NamedTuple):
    """A signature that holds: its key, and the time that it attests, if any (Unix seconds)."""

    verifier: Verifier
    moment: int | None


def cosigned_message(text: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{text}".encode()


def split(note: str, *, most: int = MAX_NOTE) -> tuple[str, list[Signature]]:
    """Return a note's text and its signatures. Raises `NoteError` for no note, or one above `most` characters."""
    if len(note) > most or _NOT_TEXT.search(note):
        raise NoteError("this is no note: too long, or it contains control characters or half a character")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteError("this is no note: a blank line and signatures must follow the text")
    signatures = [_signature_line(line) for line in lines[:-1].split("\n")]
    if len(signatures) > MAX_SIGNATURES:
        raise NoteError(f"this note has more than {MAX_SIGNATURES} signatures")
    return text + "\n", signatures


def verify(note: str, verifiers: Iterable[Verifier], *, most: int = MAX_NOTE) -> tuple[str, list[Attestation]]:
    """Return a note's text and which known keys signed it. Raises `NoteError` where none did, or one does not hold."""
    text, signatures = split(note, most=most)
    by_id = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    attested = [
        Attestation(verifier, verifier.check(text, signature.blob))
        for signature in signatures
        if (verifier := by_id.get((signature.name, signature.id))) is not None
    ]
    if not attested:
        raise UnknownKey(f"no key that is known signed this: it was signed by {', '.join(s.name for s in signatures)}")
    return text, attested


def origin_of(note: str) -> str:
    try:
        text, signatures = split(note)
    except NoteError:
        return ""
    origin = text.split("\n")[0]
    return origin if any(signature.name == origin for signature in signatures) else ""


@dataclass(frozen=True)
class TreeHead:
    """The head of a log's tree, which a checkpoint signs: whose log, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read a note's text. Raises `NoteError`."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteError("a checkpoint has three lines at least: origin, size, root")
        if not _SIZE.match(lines[1]):
            raise NoteError(f"the size {lines[1][:40]!r} is not a decimal number")
        root = decode64(lines[2])
        if len(root) != 32:
            raise NoteError("the root is not 32 bytes long")
        return cls(lines[0], int(lines[1]), root)

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"


def join(text: str, signature_lines: Iterable[str]) -> str:
    return f"{text}\n{''.join(signature_lines)}"


@dataclass(frozen=True)
class Proof:
    """The evidence for one leaf (C2SP tlog-proof)."""

    index: int
    hashes: list[bytes]
    note: str

    @property
    def text(self) -> str:
        lines = [PROOF_HEADER, f"index {self.index}", *map(encode64, self.hashes), "", self.note]
        return "\n".join(lines)


def parse_proof(text: str) -> Proof:
    """Read a tlog-proof. Raises `NoteError`."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != PROOF_HEADER:
        raise NoteError(f"a proof starts with {PROOF_HEADER}")
    body = lines[2:] if lines[1:2] and lines[1].startswith("extra ") else lines[1:]
    if not body or not body[0].startswith("index ") or not _SIZE.match(body[0][6:]):
        raise NoteError("the proof names no index")
    return Proof(int(body[0][6:]), hashes(body[1:]), note)


def hashes(lines: Sequence[str]) -> list[bytes]:
    """Decode the base64 lines of a proof, at most 63. Raises `NoteError`."""
    decoded = [decode64(line) for line in lines]
    if len(decoded) > 63 or any(len(value) != 32 for value in decoded):
        raise NoteError("a proof has at most 63 hashes of 32 bytes")
    return decoded


def _three(text: str, complaint: str) -> tuple[str, str, str]:
    # The key itself may contain '+': only the first two separate.
    name, _, rest = text.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    if not _NAME.match(name) or not identifier or not encoded:
        raise NoteError(complaint)
    return name, identifier, encoded


def _signature_line(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != DASH or not _NAME.match(name):
        raise NoteError(f"{line[:80]!r} is no signature line")
    blob = decode64(encoded)
    if len(blob) < 5:
        raise NoteError(f"the signature of {name} is too short")
    return Signature(name, blob[:4], blob[4:])
