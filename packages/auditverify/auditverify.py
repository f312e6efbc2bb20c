#!/usr/bin/env python3
"""Verify audit records without the store that keeps them: one file, Python 3.11 and `cryptography`, nothing else.

    python verify.py BUNDLE.jsonl --key KEY
    python verify.py --record RECORD.json --proof RECORD.tlog-proof --key KEY
    python verify.py --records RECORDS.jsonl --proofs DIRECTORY --key KEY
    python verify.py receipt RECEIPT.txt --receipt-key KEY [--bundle BUNDLE.jsonl --key KEY]
    python verify.py evidence EVIDENCE.zip --key KEY --receipt-key KEY
    python verify.py sample SAMPLE.zip RANGE.zip --key KEY --receipt-key KEY
    python verify.py statement STATEMENT.txt --key KEY --receipt-key KEY [--range RANGE.zip]
    python verify.py export EXPORT.json --receipt-key KEY
    python verify.py crosslink CROSS-LINKS.txt --key KEY
    python verify.py purge CERTIFICATE.txt --receipt-key KEY [--ranges RANGES.txt] [--leaf N]

What is checked, for each record:

1. The digest of the event is SHA-256(0x00 || event in RFC 8785 form), and the record says the same.
2. The log's entry (digest, id, times of receipt, parking, storage) is a leaf of an RFC 6962 Merkle tree: the proof
   leads from the leaf to the tree's root (RFC 9162, 2.1.3.2).
3. The root is in a checkpoint that the log's key has signed (C2SP signed-note, tlog-checkpoint), and as many witnesses
   as you ask for have cosigned.

Of a receipt: that a key of receipts signed it, and, with a bundle, that each of its events is in the log as promised.

Of an evidence bundle: that a key of receipts signed its manifest, that each file is the one that the manifest names,
that its records together lead to the signed root, and, of a range, that no record in it was left out. A leaf whose
record a purge removed stands for itself, under a certificate that is signed and itself a record of the log.

What it cannot show of anything but a range: that there are no other records. For that, verify the store itself, or
ask its witnesses.

Where a log was restored from a backup it goes on under another name and key. With --crosslink, the key of before leads
to the one of now: up to the restored leaf both are one log, what the log of before had after it is gone, and is named.

Where a bundle is redacted, the place, the id, the digest and the times of each record are proved all the same, and
nothing else of those that are redacted, unless they are given whole with --originals.

Of members that can be erased a record proves commitments: that each value is the one that was accepted, or, where it
was erased, that something was there.

What is printed of a file in which nothing is wrong stands in two parts: "Checked here", and what the file only states
("Stated by the bundle, not checked"), such as who asked for it, or a key that came with it.

Exit status: 0 VERIFIED, or SIGNED for a receipt without a bundle, 1 ALTERED or FORKED, 2 the input or the arguments
cannot be used, 3 NOT COVERED, 4 REDACTED: all holds, but what is left of redacted records was not shown.
"""

import argparse
import base64
import bisect
import copy
import csv
import errno
import hashlib
import heapq
import io
import ipaddress
import json
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

VERIFIED, ALTERED, FORKED, NOT_COVERED = "VERIFIED", "ALTERED", "FORKED", "NOT COVERED"
RECEIPTS = "/receipts"  # the name of a receipt signing key ends so
SIGNED, REDACTED = "SIGNED", "REDACTED"
EXIT = {VERIFIED: 0, SIGNED: 0, ALTERED: 1, FORKED: 1, NOT_COVERED: 3, REDACTED: 4}
ED25519, COSIGNATURE = 1, 4
SIGNATURE_BYTES = 64
STORE_MEMBERS = ("state", "digest", "received_at", "parked_at", "stored_at")
LARGEST_INTEGER = 2**53 - 1
SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z", re.ASCII)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z", re.ASCII)


class Unusable(Exception):
    """The input is not what it should be: nothing can be said about it."""


class Altered(Exception):
    """Something does not fit what was signed."""


class Forked(Altered):
    """The log signed two trees of which one is not the beginning of the other."""


class Uncovered(Exception):
    """Something was not shown."""


# --- RFC 8785: the one way to write a JSON document -------------------------------------------


def canonical(value: Any) -> bytes:
    """The RFC 8785 form. Raises `Unusable` for what has none."""
    try:
        return (_QUICK.encode(value) if _is_plain(value) else _write(value)).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise Unusable("a text with half a character, or a document nested too deep, has no canonical form") from None


def _is_plain(value: Any) -> bool:
    """Whether `json` writes the canonical form: names in ASCII, whose order is the same, and no floats."""
    if isinstance(value, dict):
        return all(map(str.isascii, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, float) and (not isinstance(value, int) or abs(value) <= LARGEST_INTEGER)


_QUICK = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _write(value: Any) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_write(name)}:{_write(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    if isinstance(value, float):
        return _write_float(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INTEGER:
        raise Unusable(f"the integer {value} is beyond 2^53-1")
    return json.dumps(value, ensure_ascii=False)


def _write_float(value: float) -> str:
    """As ECMAScript writes numbers."""
    if value != value or abs(value) == float("inf"):
        raise Unusable("a number that is not finite has no canonical form")
    if value == 0:
        return "0"
    negative, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return ("-" if negative else "") + _place_point(text, len(text) + int(exponent))


def _place_point(digits: str, point: int) -> str:
    """The digits with the point after so many of them, or with an exponent where it would be far off."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = point - 1
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"


def parse(text: bytes) -> Any:
    """Read JSON: UTF-8, no name twice, no number that two readers would read differently. Raises `Unusable`."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_members, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"this is not JSON: {str(error)[:200]}") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


# --- RFC 6962 and 9162: the tree --------------------------------------------------------------


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """Raise `Altered` unless the proof leads from the leaf to the root. Sides follow from index and size alone."""
    if not 0 <= index < size or any(len(value) != 32 for value in (leaf, root, *proof)):
        raise Altered("the proof names a leaf that the tree does not have, or a hash is not 32 bytes long")
    place, last, subtree = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Altered("the proof is too long")
        if place & 1 or place == last:
            subtree = node(sibling, subtree)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            subtree = node(subtree, sibling)
        place, last = place >> 1, last >> 1
    if last or subtree != root:
        raise Altered("the proof does not lead from this record to the signed root: the record is not what was sealed")


# --- C2SP signed-note: keys and signatures ----------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A public key: `name+id+base64(kind || 32 bytes)`."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def check(self, text: str, blob: bytes) -> int | None:
        """Check a signature; return the time that it attests. Raises `Altered`."""
        moment, message = None, text.encode()
        if self.kind == COSIGNATURE:
            moment, blob = int.from_bytes(blob[:8], "big"), blob[8:]
            message = f"cosignature/v1\ntime {moment}\n{text}".encode()
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(blob, message)
        except (InvalidSignature, ValueError):
            raise Altered(f"a signature of {self.name} does not hold") from None
        return moment


def read_key(text: str, kinds: tuple[int, ...]) -> Key:
    """Parse a public key. Raises `Unusable`."""
    name, _, rest = text.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    data = unbase64(encoded)
    if not name or len(data) != 33 or data[0] not in kinds:
        raise Unusable(f"{text[:100]!r} is not a key of the kind that is wanted here: name+id+base64")
    key = Key(name, data[0], data[1:])
    if key.id.hex() != identifier:
        raise Unusable(f"the key of {name} is damaged: its id should be {key.id.hex()}")
    return key


def unbase64(text: str) -> bytes:
    """Base64 in its one spelling. Raises `Unusable`."""
    if len(text) % 4 or not BASE64.match(text):  # Python takes more for base64 than there is of it
        raise Unusable(f"{text[:60]!r} is not base64")
    data = base64.b64decode(text)
    if base64.b64encode(data).decode() != text:
        raise Unusable(f"{text[:60]!r} is not the one base64 of its bytes")
    return data


class Checkpoint(NamedTuple):
    """A signed tree head whose signatures hold."""

    size: int
    root: bytes
    signed_at: int | None
    witnessed: dict[str, int]


# The name of a key, its id, and what it signed with.
Signature = tuple[str, bytes, bytes]


def read_note(note: str) -> tuple[str, list[Signature]]:
    """A note's text and its signatures. Raises `Unusable`."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note):
        raise Unusable("a checkpoint is text, a blank line, and signature lines")
    signatures: list[Signature] = []
    for line in lines[:-1].split("\n"):
        dash, name, encoded = (*line.split(" "), "", "")[:3]
        blob = unbase64(encoded)
        if dash != "—" or not name or line.count(" ") != 2 or len(blob) < 5:
            raise Unusable(f"{line[:60]!r} is not a signature line")
        signatures.append((name, blob[:4], blob[4:]))
    return text + "\n", signatures


def check_receipt_keys(text: str, signatures: list[Signature], origin: str, keys: list[Key], otherwise: str) -> None:
    """Check what keys of receipts of the log have signed. Raises `Altered`, `Uncovered`."""
    name = f"{origin}/receipts"
    trusted = {(key.name, key.id): key for key in keys if key.name == name}
    ours = [(trusted[signer, key_id], blob) for signer, key_id, blob in signatures if (signer, key_id) in trusted]
    if not ours:
        raise unsigned(signatures if trusted else [], name, otherwise)
    for key, blob in ours:
        key.check(text, blob)


def unsigned(signatures: list[Signature], name: str, otherwise: str) -> Altered | Uncovered:
    """Make the error for what no key that was given has signed: `Uncovered` where another key of this name has.

    The log may have that key from a rotation, or a forger made it: without the key nobody can say.
    """
    strangers = {
        f"{name}+{key_id.hex()}"
        for signer, key_id, blob in signatures
        if signer == name and len(blob) == SIGNATURE_BYTES
    }
    if strangers:
        return Uncovered(f"signed by a key of this origin that you did not give: {', '.join(sorted(strangers))}")
    return Altered(otherwise)


@dataclass
class Trust:
    """The keys whose signatures count, and the checkpoints that they signed so far."""

    keys: list[Key]
    witnesses: list[Key] = field(default_factory=list)
    quorum: int = 0
    # The options that would confirm the keys that came with the bundle.
    unconfirmed: tuple[str, ...] = ()
    seen: dict[str, Checkpoint] = field(default_factory=dict)
    roots: dict[tuple[str, int], bytes] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    links: list["CrossLink"] = field(default_factory=list)

    def confirms(self, key: Key) -> bool:
        """Whether the key was given: one that came with the bundle is what the bundle states."""
        return ("--receipt-key" if key.name.endswith(RECEIPTS) else "--key") not in self.unconfirmed

    def checkpoint(self, note: str) -> Checkpoint:
        """Check a signed note, each only once. Raises `Altered`, `Uncovered`, `Unusable`; `Forked` is an `Altered`."""
        if note not in self.seen:
            self.seen[note] = self._check(note)
        return self.seen[note]

    def _check(self, note: str) -> Checkpoint:
        text, signatures = read_note(note)
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not SIZE.match(lines[1]):
            raise Unusable("a checkpoint has at least three lines: origin, size, root")
        if lines[0] not in {key.name for key in self.keys}:
            raise Unusable(f"the checkpoint is of the log {lines[0]!r}, the key of {self.keys[0].name!r}")
        signed, moments, witnessed = self._signatures(text, signatures)
        if not signed:
            otherwise = f"no key of the log {lines[0]} that you trust has signed the checkpoint"
            raise unsigned(signatures, lines[0], otherwise)
        size, root = int(lines[1]), unbase64(lines[2])
        if self.roots.setdefault((self._line_of(lines[0], size, moments), size), root) != root:
            raise Forked(f"the log has signed two different trees of {size} records")
        return Checkpoint(size, root, max(moments, default=None), witnessed)

    def _line_of(self, name: str, size: int, moments: list[int]) -> str:
        """Which line a tree belongs to: "" for what the log has now, else the name whose end was cut off by a restore.

        Raises `Altered` and `Forked` where a cross-link says other than is so.
        """
        closed = [link for link in self.links if name in (link.restored[0], *(head[0] for head in link.known))]
        link = min(closed, key=lambda each: each.at, default=None)
        if link is None:
            return ""
        if any(moment > link.at for moment in moments):
            raise Forked(f"{name} was closed by a cross-link, and has signed a checkpoint after that")
        if size <= link.restored[1]:
            return ""
        if size > max(head[1] for head in (link.restored, *link.known) if head[0] == name):
            raise Altered(f"a checkpoint of {size} records of {name} is known, and the cross-link knew of less")
        return name

    def _signatures(self, text: str, signatures: list[Signature]) -> tuple[bool, list[int], dict[str, int]]:
        signed, moments, witnessed = False, [], {}
        plain = {(key.name, key.id): key for key in self.keys}
        timed = {(key.name, key.id): key for key in (Key(key.name, COSIGNATURE, key.public) for key in self.keys)}
        others = {(key.name, key.id): key for key in self.witnesses}
        for name, key_id, blob in signatures:
            if key := plain.get((name, key_id)):
                key.check(text, blob)
                signed = True
            elif key := timed.get((name, key_id)):
                moments.append(key.check(text, blob) or 0)
            elif key := others.get((name, key_id)):
                witnessed[name] = key.check(text, blob) or 0
            else:
                self.strangers.add(name)
        return signed, moments, witnessed


# --- Cross-links: how a log goes on after a restore -------------------------------------------

CROSSLINK = "auditsite/crosslink/v1"
SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z", re.ASCII)


class CrossLink(NamedTuple):
    """Where a log was cut by a restore, the newest heads known of it, and the key that goes on."""

    restored: tuple[str, int, bytes]  # name, leaves, root
    known: list[tuple[str, int, bytes]]
    continues: Key
    at: int
    asked_by: str
    approved_by: str
    reason: str


def read_crosslinks(path: Path, trust: Trust) -> None:
    """Learn from the cross-links in a file, whatever their order. Raises `Unusable`, `Altered`."""
    notes = [f"{CROSSLINK}{part}" for part in path.read_text(encoding="utf-8").split(CROSSLINK)[1:]]
    notes = [note.rstrip("\n") + "\n" for note in notes]
    if not notes:
        raise Unusable(f"{path.name} has no cross-link: it starts with {CROSSLINK}")
    while notes:
        learned = [note for note in notes if learn(note, trust)]
        if not learned:
            raise Unusable(f"no key that you trust has signed the cross-link in {path.name}: nothing of it is believed")
        notes = [note for note in notes if note not in learned]


def learn(note: str, trust: Trust) -> bool:
    """Trust the key that a cross-link names, if one that is trusted has signed it; say whether one has.

    Raises `Unusable`, `Altered`.
    """
    text, signatures = read_note(note)
    link = parse_crosslink(text)
    names = {head[0] for head in (link.restored, *link.known)}
    trusted = {(key.name, key.id): key for key in trust.keys if key.name in names}
    before = [(trusted[name, key_id], blob) for name, key_id, blob in signatures if (name, key_id) in trusted]
    if not before:
        return False
    after = [blob for name, key_id, blob in signatures if (name, key_id) == (link.continues.name, link.continues.id)]
    if not after:
        raise Altered("the key that goes on has not signed the cross-link")
    for key, blob in (*before, (link.continues, after[0])):
        key.check(text, blob)
    trust.links.append(link)
    trust.keys.append(link.continues)
    return True


def parse_crosslink(text: str) -> CrossLink:
    """Read the text of a cross-link. Raises `Unusable`."""
    header, *lines = text.removesuffix("\n").split("\n")
    pairs = [line.partition(" ")[::2] for line in lines]
    names, values = [name for name, _ in pairs], [value for _, value in pairs]
    count = names.count("known")
    wanted = ["restored", *["known"] * count, "continues", "at", "asked-by", "approved-by", "reason"]
    if header != CROSSLINK or not count or names != wanted:
        raise Unusable(f"a cross-link starts with {CROSSLINK}, and has its members in their order")
    heads = [crosslink_head(value) for value in values[: 1 + count]]
    key, at, asked_by, approved_by, reason = values[1 + count :]
    if not SECOND.match(at):
        raise Unusable(f"{at[:40]!r} is no time of a cross-link")
    moment = int(datetime.fromisoformat(at).timestamp())
    return CrossLink(heads[0], heads[1:], read_key(key, (ED25519,)), moment, asked_by, approved_by, reason)


def crosslink_head(text: str) -> tuple[str, int, bytes]:
    """A head in a cross-link: name, leaves, root. Raises `Unusable`."""
    name, size, root = (*text.split(" "), "", "", "")[:3]
    if not name or not SIZE.match(size) or len(unbase64(root)) != 32:
        raise Unusable(f"{text[:80]!r} is no head: name, leaves, root")
    return name, int(size), unbase64(root)


def crosslink_lines(trust: Trust) -> list[str]:
    """Where the log was cut, in words."""
    lines = []
    for link in trust.links:
        when = datetime.fromtimestamp(link.at, UTC)
        lines.append(f"cross-link of {when:%Y-%m-%d %H:%M}Z: the log was restored, {link.reason}")
        lines.append(f"  asked by {link.asked_by}, approved by {link.approved_by}")
        lines.append(f"  the first {link.restored[1]:,} leaves of {link.restored[0]} are the same as before")
        for name, size, _ in link.known:
            lines.append(f"  {name} had {size:,}: {max(size - link.restored[1], 0):,} after those are gone")
        lines.append(f"  it goes on as {link.continues}")
    return lines


def verify_crosslink(options: argparse.Namespace) -> str:
    """Verify cross-links, print what they say, and return the verdict. Raises `Altered` and `Unusable`."""
    options.bundle = None
    options.crosslink = [options.file]
    report = Report("cross-link")
    report.checked += crosslink_lines(trust_of(options))
    report.say()
    return VERIFIED


# --- Records and their proofs -----------------------------------------------------------------


@dataclass(frozen=True)
class Proof:
    """A C2SP tlog-proof."""

    index: int
    hashes: list[bytes]
    note: str


def read_proof(text: str) -> Proof:
    """Parse a tlog-proof. Raises `Unusable`."""
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        lines = lines[1:]
    if first != "c2sp.org/tlog-proof@v1" or not blank or not lines or not lines[0].startswith("index "):
        raise Unusable("a proof starts with the lines c2sp.org/tlog-proof@v1 and index")
    if not SIZE.match(lines[0][6:]) or len(lines) > 64:
        raise Unusable("the proof's index is not a number, or it has more than 63 hashes")
    return Proof(int(lines[0][6:]), [unbase64(line) for line in lines[1:]], note)


def leaf_of(record: dict[str, Any]) -> bytes:
    """The leaf hash of a record, recomputed from all that it says. Raises `Altered` and `Unusable`."""
    # The store computes the same in formats/entry.py, formats/canonical.py and sql/0003_log.sql, the page that checks
    # in a browser in verifier/records.js. This copy is the auditor's own, so it shares no code with them.
    missing = [name for name in (*STORE_MEMBERS, "event_id", "writer") if name not in record]
    if missing:
        raise Unusable(f"the record lacks {', '.join(missing)}")
    check_values(record)
    event = {name: value for name, value in committed(record).items() if name not in STORE_MEMBERS}
    digest = hashlib.sha256(b"\x00" + canonical(event)).hexdigest()
    if digest != record["digest"]:
        raise Altered("the digest of the event is not the one that the record names: its content was changed")
    return entry_leaf(record)


def entry_leaf(record: dict[str, Any]) -> bytes:
    """The leaf hash of a record from what the log's entry has of it: digest, id and times. Raises `Unusable`."""
    times = [record["received_at"], record["stored_at"], *([record["parked_at"]] if record["parked_at"] else [])]
    if not all(isinstance(text, str) and TIME.match(text) for text in times):
        raise Unusable("a time of the record is not like 2026-08-18T10:00:00.000000Z")
    entry = {name: record[name] for name in ("digest", "event_id", "received_at", "parked_at", "stored_at")}
    return hashlib.sha256(b"\x00" + canonical(entry)).digest()


# --- Members that can be erased ---------------------------------------------------------------

# Of what can be erased the digest covers commitments, SHA-256(salt || value), which the event's member `erasable` names
# by path. A record has the values in their places, and beside the event their salts, or that they were erased.
BESIDE = ("salts", "erased")
INSTEAD = "$erasable"
HEX32 = re.compile(r"[0-9a-f]{64}\Z")


def committed(record: dict[str, Any]) -> dict[str, Any]:
    """The record as its digest covers it: `$erasable` where a commitment stands for the value."""
    event = {name: value for name, value in record.items() if name not in BESIDE}
    for path in record.get("erasable") or {}:
        event = replaced(event, path_parts(path), stand_in(path))
    return event


def stand_in(path: str) -> Any:
    """What stands in the event where a commitment stands for the value."""
    return {} if path == "event_data" else INSTEAD


def check_values(record: dict[str, Any], hidden: list[list[str]] | None = None) -> None:
    """Each value that can be erased is the one that was accepted, or is said to be erased. Raises `Altered`.

    `hidden` has the paths, in parts, of what is redacted: what stands there has no salt.
    """
    hidden = hidden or []
    commitments, salts, erased = (record.get(name) or {} for name in ("erasable", *BESIDE))
    for path in sorted({*salts, *erased} - {*commitments}):
        raise Altered(f"{path} was never accepted as something that can be erased")
    for path, commitment in sorted(commitments.items()):
        parts = path_parts(path)
        if any(parts[: len(other)] == other for other in hidden):
            continue
        value = member_at(record, parts)
        if path in erased:
            if path in salts or value != stand_in(path):
                raise Altered(f"{path} is said to be erased, and its value is still here")
            continue
        if any(overlap(parts, other) for other in hidden):
            continue
        if path not in salts:
            raise Altered(f"{path} lost its value: it is not here, and is not said to be erased")
        if not HEX32.match(str(salts[path])):
            raise Altered(f"{path} has a salt that is not 32 bytes in hex")
        if hashlib.sha256(bytes.fromhex(salts[path]) + canonical(value)).hexdigest() != commitment:
            raise Altered(f"{path} is not the value that was accepted: its commitment is another one")


@dataclass
class Erasures:
    """What is said to be erased: how many members, by the words for it."""

    members: dict[str, int] = field(default_factory=dict)
    committed: int = 0

    def note(self, record: dict[str, Any], *, is_proved: bool = True) -> None:
        """Count what a record says is erased; what it commits to is proved where its content is."""
        for facts in (record.get("erased") or {}).values():
            words = f"erased under {facts['basis']} on {facts['at'][:10]}, by request {facts['request']}"
            self.members[words] = self.members.get(words, 0) + 1
            self.committed += is_proved

    def report(self, report: "Report") -> None:
        """Say that what was erased is committed to; when and why it went is only stated."""
        if not self.members:
            return
        if count := self.committed:
            report.checked.append(f"of {count} erased members the log has commitments: nobody can show what they were")
        report.stated += [f"that {count} members were {words}" for words, count in sorted(self.members.items())]
        report.stated.append("that these erasures were approved")


def check_record(record: dict[str, Any], proof: Proof, trust: Trust) -> Checkpoint:
    """Check one record. Raises `Altered`, `Uncovered`, `Unusable`."""
    checkpoint = trust.checkpoint(proof.note)
    check_inclusion(leaf_of(record), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    if len(checkpoint.witnessed) < trust.quorum:
        raise Uncovered(f"{len(checkpoint.witnessed)} of the {trust.quorum} witnesses that you ask for have cosigned")
    return checkpoint


# --- Reading files ----------------------------------------------------------------------------

# A record, and the text of its proof where there is one.
Item = tuple[dict[str, Any], str | None]


def bundle_header(path: Path) -> tuple[str, list[Key]]:
    """The log and the keys that a bundle claims. Raises `Unusable`."""
    with path.open("rb") as file:
        header = _line(file.readline(), {"bundle", "keys", "origin"})
    if header["bundle"] != "auditsite/v1" or not isinstance(header["keys"], list) or not header["keys"]:
        raise Unusable("this is not a bundle of the version auditsite/v1")
    keys = [read_key(str(text), (ED25519,)) for text in header["keys"]]
    if any(key.name != header["origin"] for key in keys):
        raise Unusable("the bundle's keys are not of the log that it names")
    return header["origin"], keys


def bundle_items(path: Path) -> Iterator[Item]:
    """The records of a bundle, streaming. Raises `Unusable` where a byte is not as it was written."""
    digest, count, ended = hashlib.sha256(), 0, False
    with path.open("rb") as file:
        digest.update(file.readline())
        for line in file:
            if ended:
                raise Unusable("something follows the bundle's last line")
            value = _line(line, {"records", "sha256"}, {"proof", "record"})
            if ended := "sha256" in value:
                if value != {"records": count, "sha256": digest.hexdigest()}:
                    raise Unusable("the bundle is damaged: its last line does not fit what is before it")
                continue
            digest.update(line)
            count += 1
            yield _sealed(value["record"]), str(value["proof"])
    if not ended:
        raise Unusable("the bundle is cut off: its last line is missing")


def _line(line: bytes, *allowed: set[str]) -> dict[str, Any]:
    value = parse(line)
    if not isinstance(value, dict) or set(value) not in allowed:
        raise Unusable("a line of the bundle has other members than it should")
    if canonical(value) + b"\n" != line:
        raise Unusable("a line of the bundle is not in RFC 8785 form: it was changed")
    return value


def _sealed(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("state") != "sealed":
        raise Unusable("a record of the bundle is not sealed")
    return record


def file_items(arguments: argparse.Namespace) -> Iterator[Item]:
    """A record and its proof, or many with a directory of proofs."""
    if arguments.record:
        yield _object(parse(arguments.record.read_bytes())), arguments.proof.read_bytes().decode("utf-8")
        return
    with arguments.records.open("rb") as file:
        for line in file:
            record = _object(parse(line))
            proof = arguments.proofs / f"{Path(str(record.get('event_id'))).name}.tlog-proof"
            yield record, proof.read_bytes().decode("utf-8") if proof.is_file() else None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable("a record is a JSON object")
    return value


# --- The verdict ------------------------------------------------------------------------------


@dataclass
class Result:
    """How many records were checked so far, and the worst verdict."""

    records: int = 0
    verdict: str = NOT_COVERED
    newest: Checkpoint | None = None
    erasures: Erasures = field(default_factory=Erasures)

    def worsen(self, verdict: str) -> None:
        order = [FORKED, ALTERED, NOT_COVERED, VERIFIED]
        self.verdict = min(self.verdict, verdict, key=order.index)


def check_all(items: Iterator[Item], trust: Trust) -> Result:
    """Check every record, and say what is wrong with each that fails."""
    result = Result(verdict=VERIFIED)
    for record, text in items:
        result.records += 1
        name = str(record.get("event_id"))[:80]
        try:
            if text is None:
                raise Uncovered("there is no proof of it")
            checkpoint = check_record(record, read_proof(text), trust)
            result.erasures.note(record)
            if result.newest is None or checkpoint.size > result.newest.size:
                result.newest = checkpoint
        except (Altered, Uncovered) as error:
            result.worsen(refuse(name, error))
        show_progress(result.records, 100)
    if not result.records:
        result.verdict = NOT_COVERED
    return result


# What would begin a line, reorder the text beside it or drive a terminal is printed as an escape.
HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(line: str, file: IO[str] | None = None) -> None:
    """Print one line, whatever texts of others are in it."""
    print(HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04X}", line), file=file)


CHECKED, STATED = "Checked here", "Stated by the {}, not checked"


@dataclass
class Report:
    """The lines of what was checked here, and of what a file (a bundle, a receipt ...) only states."""

    of: str
    checked: list[str] = field(default_factory=list)
    stated: list[str] = field(default_factory=list)

    def add_checkpoint(self, what: str, checkpoint: Checkpoint) -> None:
        self.checked.append(f"{what}: {checkpoint.size} records{_when(checkpoint.signed_at)}, by the log itself")
        self.checked += [f"cosigned by {name}{_when(moment)}" for name, moment in checkpoint.witnessed.items()]

    def add_keys(self, keys: list[Key], trust: Trust) -> None:
        """Keys that were given are what was checked with; those that came with the bundle confirm nothing."""
        for key in keys:
            if trust.confirms(key):
                self.checked.append(f"key (pinned): {key}")
            else:
                self.stated.append(f"key (FIRST USE: it came with the bundle): {key}")

    def say(self) -> None:
        """Print both parts, each under its heading."""
        for heading, lines in ((CHECKED, self.checked), (STATED.format(self.of), self.stated)):
            if lines:
                say(heading)
            for line in lines:
                say(f"  {line}")


def refuse(what: str, error: Altered | Uncovered) -> str:
    """Print why something does not hold; return the verdict on it."""
    verdict = FORKED if isinstance(error, Forked) else ALTERED if isinstance(error, Altered) else NOT_COVERED
    say(f"{verdict}  {what}: {error}" if what else f"{verdict}  {error}")
    return verdict


def lacks_witnesses(checkpoint: Checkpoint, trust: Trust) -> bool:
    """Whether fewer witnesses than are asked for have cosigned; it is printed then."""
    if len(checkpoint.witnessed) >= trust.quorum:
        return False
    say(f"{NOT_COVERED}  fewer than the {trust.quorum} witnesses that you ask for have cosigned")
    return True


KEY_NAMES = {"--key": "log signing key", "--receipt-key": "receipt signing key"}


def verdict_of(result: Result, trust: Trust) -> str:
    """The verdict; a key that came with the bundle is not enough."""
    if result.verdict == VERIFIED and trust.unconfirmed:
        for option in trust.unconfirmed:
            say(
                f"{NOT_COVERED}  give the {KEY_NAMES[option]}: with {option}, as it was published elsewhere. "
                "All fits, but the one that came with the bundle cannot confirm who signed it"
            )
        return NOT_COVERED
    return result.verdict


def show_progress(records: int, every: int) -> None:
    if sys.stderr.isatty() and records % every == 0:
        print(f"\r{records} records", end="", file=sys.stderr)


def report_records(result: Result, trust: Trust, report: Report) -> None:
    """Say how many records were checked, and with what."""
    report.checked.append(f"{result.records} records checked against the log {trust.keys[0].name}")
    if result.verdict == VERIFIED:
        report.checked.append("each record is in the log, and as it was sealed")
    if result.newest is not None:
        report.add_checkpoint("newest checkpoint", result.newest)
    report.checked += crosslink_lines(trust)
    report.add_keys(trust.keys, trust)
    report.stated += [f"the signature of {name}, whose key was not given" for name in sorted(trust.strangers)]
    result.erasures.report(report)


def _when(moment: int | None) -> str:
    if moment is None:
        return ", at a time that nobody attests"
    try:
        return f", signed {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return f", signed at second {moment}"


def trust_of(arguments: argparse.Namespace) -> Trust:
    """The keys that count: those given, else those that came with the bundle."""
    texts = list(arguments.key)
    for path in arguments.keys:
        lines = path.read_text(encoding="utf-8").splitlines()
        texts += [line for line in lines if line.strip() and not line.startswith("#")]
    keys = [read_key(text, (ED25519,)) for text in texts]
    if any(key.name.endswith(RECEIPTS) for key in keys):
        raise Unusable("a receipt signing key was given with --key: give it with --receipt-key")
    if len({key.name for key in keys}) > 1:
        raise Unusable("the keys are of several logs: check one log at a time")
    witnesses = [read_key(text, (COSIGNATURE,)) for text in arguments.witness]
    quorum = len(witnesses) if arguments.quorum is None else arguments.quorum
    if not 0 <= quorum <= len(witnesses):
        raise Unusable(f"{quorum} witnesses must have cosigned, and the keys of {len(witnesses)} are given")
    trust = Trust(keys, witnesses, quorum)
    for path in arguments.crosslink:
        read_crosslinks(path, trust)
    if arguments.bundle:
        origin, claimed = bundle_header(arguments.bundle)
        if keys and origin not in {key.name for key in keys}:
            raise Unusable(
                f"the bundle is of the log {origin!r}, your key of {keys[0].name!r}: where the log was restored, give "
                "its cross-link with --crosslink, which leads from one to the other"
            )
        return trust if keys else Trust(claimed, witnesses, quorum, ("--key",))
    if not keys:
        raise Unusable("give the log's public key with --key or --keys")
    return trust


# What the first bytes of a file say that it is, and the command that verifies it.
KINDS_OF_FILES = {
    b"PK": "an evidence bundle: run verify.py evidence",
    b"auditsite/statement/": "a signed statement: run verify.py statement",
    b"auditsite/receipt/": "a receipt: run verify.py receipt",
    b"auditsite/purge/": "the certificate of a purge: run verify.py purge",
    b"auditsite/crosslink/": "a cross-link: run verify.py crosslink",
}


def refuse_other_kinds(path: Path) -> None:
    """Raises `Unusable` for a file that another command verifies."""
    with path.open("rb") as file:
        head = file.read(64)
    for start, what in KINDS_OF_FILES.items():
        if head.startswith(start):
            raise Unusable(f"this is {what} {path.name}")


def verify_records(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    if options.bundle:
        refuse_other_kinds(options.bundle)
    trust = trust_of(options)
    result = check_all(bundle_items(options.bundle) if options.bundle else file_items(options), trust)
    report = Report("bundle")
    report_records(result, trust, report)
    report.stated.append("that there are no other records")
    report.say()
    return verdict_of(result, trust)


# --- Receipts ---------------------------------------------------------------------------------

RECEIPT = "auditsite/receipt/v1"
RECEIPT_MEMBERS = ("origin", "writer", "state", "promised", "sealed-by")
RECEIPT_EVENT = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) ([0-9a-f]{64})\Z", re.ASCII)


class Receipt(NamedTuple):
    """The members of a receipt's header, and the digest of each of its events by id."""

    members: dict[str, str]
    events: dict[str, str]


def read_receipt(note: str, keys: list[Key]) -> Receipt:
    """A receipt that one of the keys has signed. Raises `Altered`, `Uncovered`, `Unusable`."""
    text, signatures = read_note(note)
    header, *lines = text[:-1].split("\n")
    members = dict(line.partition(" ")[::2] for line in lines[: len(RECEIPT_MEMBERS)])
    matches = [RECEIPT_EVENT.match(line) for line in lines[len(RECEIPT_MEMBERS) :]]
    if header != RECEIPT or tuple(members) != RECEIPT_MEMBERS or not matches or not all(matches):
        raise Unusable(f"this is no receipt: {RECEIPT}, then {', '.join(RECEIPT_MEMBERS)}, then its events")
    otherwise = f"no key of receipts of the log {members['origin']} that you trust has signed this"
    check_receipt_keys(text, signatures, members["origin"], keys, otherwise)
    events = dict(match.groups() for match in matches if match)
    if len(events) != len(matches):
        raise Unusable("the receipt names an event twice")
    return Receipt(members, events)


def check_receipt(receipt: Receipt, bundle: Path, trust: Trust) -> Result:
    """Look for each event of the receipt in a bundle: in the log, with the digest that was promised."""
    if receipt.members["origin"] != trust.keys[0].name:
        raise Unusable(f"the receipt is of the log {receipt.members['origin']!r}, the key of {trust.keys[0].name!r}")
    items = [item for item in bundle_items(bundle) if item[0].get("event_id") in receipt.events]
    result = check_all(iter(items), trust)
    digests = {record["event_id"]: record["digest"] for record, _ in items}
    salted = {record["event_id"] for record, _ in items if record.get("erasable")}
    for event_id, digest in receipt.events.items():
        if event_id not in digests:
            result.worsen(NOT_COVERED)
            say(f"{NOT_COVERED}  {event_id}: it is not in the bundle")
        elif digests[event_id] != digest and event_id in salted:
            result.worsen(NOT_COVERED)
            say(
                f"{NOT_COVERED}  {event_id}: it was promised as {digest}. Members of it can be erased, so the same "
                "event has another digest each time that it is accepted: ask the store for its record audit.event.again"
            )
        elif digests[event_id] != digest:
            result.worsen(ALTERED)
            say(f"{ALTERED}  {event_id}: it is not what the receipt promised, whose digest is {digest}")
    return result


def report_receipt(receipt: Receipt, keys: list[Key]) -> Report:
    """What the receipt says, and who signed it."""
    report = Report("receipt", [f"receipt of {len(receipt.events)} events, signed by a key that you gave"])
    report.checked += [f"key (pinned): {key}" for key in keys]
    report.stated += [f"{name} {value}" for name, value in receipt.members.items()]
    return report


def verify_receipt(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    keys = [read_key(text, (ED25519,)) for text in options.receipt_key]
    try:
        receipt = read_receipt(options.receipt.read_bytes().decode("utf-8"), keys)
    except (Altered, Uncovered) as error:
        return refuse("the receipt", error)
    report = report_receipt(receipt, keys)
    if options.bundle is None:
        report.stated.append("that the events are in the log; give a bundle of them with --bundle to check it")
        report.say()
        return SIGNED
    trust = trust_of(options)
    result = check_receipt(receipt, options.bundle, trust)
    report_records(result, trust, report)
    report.say()
    return verdict_of(result, trust)


# --- Evidence bundles -------------------------------------------------------------------------

EVIDENCE = "auditsite/evidence/v1"
EVIDENCE_WITH_PURGED = "auditsite/evidence/v2"
BETWEEN = "auditsite/between/v1"
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
OLD_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Where a spreadsheet's locale separates cells by something else than a comma, a formula can begin within a text.
BLANKS = r'[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"]*'
LATER_FORMULA = re.compile(rf"([;|\t\r\n]{BLANKS})([=+\-@\uff1d\uff0b\uff0d\uff20])")
SIGNED_FILES = {"manifest.json", "manifest.txt"}
USUAL_FILES = ("README.html", "checkpoint.txt", "keys.txt", "query.txt", "statement.json", "verify.py")
PARTS_OF_VOLUMES = ("records", "proof", "csv", "purged")
MAX_TEXT_BYTES = 64 * 1024 * 1024
# So many bytes more than the manifest names are still read, to say what is wrong with them; a bomb has more.
SLACK_BYTES = 1024 * 1024
MAX_FAULTS_SHOWN = 20
# What a zip raises that is damaged, encrypted, or packed in a way that Python does not know.
BROKEN_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)


class Bundle:
    """The files of an evidence bundle, in its zip or unpacked."""

    def __init__(self, path: Path):
        self._folder = path
        if path.is_file():
            with path.open("rb") as file:
                if file.read(2) != b"PK":
                    raise Unusable("this is no evidence bundle: give the .zip as it was downloaded, not a file of it")
        try:
            self._zip = None if path.is_dir() else zipfile.ZipFile(path)
        except (ValueError, OSError) as error:
            # A place in the zip that lies before its beginning; a file that is not there is another matter.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise zipfile.BadZipFile(str(error)) from None
        if self._zip is not None:
            if any(info.header_offset < 0 for info in self._zip.infolist()):
                raise zipfile.BadZipFile("a file would begin before the zip does")
            names = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        self.names = set(names)
        if len(self.names) != len(names):
            raise Unusable("two files of the bundle have one name")

    def open(self, name: str) -> IO[bytes]:
        if name not in self.names:
            raise Altered(f"{name} is missing")
        return (self._folder / name).open("rb") if self._zip is None else self._zip.open(name)

    def read_on(self, name: str) -> IO[bytes]:
        """Open a file that was compared already: no checksum stops the reading, so that what was changed is named."""
        if self._zip is None or name not in self.names:
            return self.open(name)
        info = copy.copy(self._zip.getinfo(name))
        del info.CRC
        return self._zip.open(info)

    def size(self, name: str) -> int:
        return (self._folder / name).stat().st_size if self._zip is None else self._zip.getinfo(name).file_size

    def text(self, name: str) -> str:
        with self.open(name) as file:
            body = file.read(MAX_TEXT_BYTES)
        return body.decode("utf-8")

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self.open(name) as file:
            while part := file.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()


def read_manifest(bundle: Bundle, keys: list[Key]) -> dict[str, Any]:
    """The manifest, signed by a key that is trusted. Raises `Altered`, `Uncovered` and `Unusable`."""
    text, signatures = read_note(bundle.text("manifest.txt"))
    header, origin, _, digest = (*text.split("\n"), "", "", "")[:4]
    if header not in (EVIDENCE, EVIDENCE_WITH_PURGED) or text.count("\n") != 4:
        raise Unusable(f"manifest.txt is not the signature of a manifest: {EVIDENCE}, origin, id, SHA-256")
    otherwise = f"the manifest is signed with a foreign key: by none of the log {origin} that you trust"
    check_receipt_keys(text, signatures, origin, keys, otherwise)
    if bundle.sha256("manifest.json") != digest:
        raise Altered("manifest.json is not the manifest that was signed: it was changed or swapped")
    manifest = parse(bundle.text("manifest.json").encode())
    if not isinstance(manifest, dict) or (manifest.get("evidence"), f"{manifest.get('id')}") != (
        header,
        text.split("\n")[2],
    ):
        raise Altered("manifest.json is of another bundle than its signature")
    if manifest["log"]["origin"] != origin:
        raise Altered("the manifest is of another log than its signature")
    if manifest["kind"] not in KINDS:
        raise Unusable(f"a bundle is of a query, a range or a sample, not {str(manifest['kind'])[:60]!r}")
    check_terms(manifest["terms"])
    for bound in ("since", "until"):
        if manifest.get("received"):
            seconds(manifest["received"][bound])
    return manifest


def check_files(bundle: Bundle, manifest: dict[str, Any]) -> Iterator[str]:
    """The faults of the files: each must be the one that the manifest names, used here, and there must be no others."""
    named = manifest["files"]
    for name in sorted(named.keys() - used_files(manifest)):
        yield f"{name} is named by the manifest, and is no file of a bundle: nothing shows what is in it"
    for name in sorted(bundle.names - named.keys() - SIGNED_FILES):
        yield f"{name} is in the bundle, and the manifest does not name it"
    for name, facts in sorted(named.items()):
        if name not in bundle.names:
            yield f"{name} is missing: the manifest names it"
            continue
        if bundle.size(name) > facts["bytes"] + SLACK_BYTES:
            raise Altered(f"{name} has {bundle.size(name)} bytes, the manifest names {facts['bytes']}: it is not read")
        try:
            same = bundle.sha256(name) == facts["sha256"]
        except BROKEN_ZIP:
            same = False
        if not same:
            yield f"{name} was changed: its SHA-256 is not the one that the manifest names"


def used_files(manifest: dict[str, Any]) -> set[str]:
    """The names that files of a bundle have: of whichever, and of the volumes and certificates of this one."""
    certificates = [CERTIFICATES, *(purge["ranges"] for purge in manifest.get("purges", ()) if purge["ranges"])]
    parts = [volume.get(part) for volume in manifest["volumes"] for part in PARTS_OF_VOLUMES]
    is_with_purged = manifest["evidence"] == EVIDENCE_WITH_PURGED
    return {*USUAL_FILES, *filter(None, parts), *(certificates if is_with_purged else ())}


class Tree:
    """A tree of which some leaves are added, and the hashes of the subtrees between them are given."""

    def __init__(self, size: int, hashes: Iterator[bytes]):
        self.size = size
        self.place = 0
        self._hashes = hashes
        self._roots: list[bytes] = []

    def add(self, index: int, leaf: bytes) -> None:
        if index < self.place:
            raise Altered(f"leaf {index} comes after leaf {self.place - 1}: a record is out of its place, or twice")
        if index >= self.size:
            raise Altered(f"leaf {index} is not in the log of {self.size} records that the checkpoint covers")
        self._fill(index)
        self._append(leaf, 1)

    def root(self) -> bytes:
        self._fill(self.size)
        if next(self._hashes, None) is not None:
            raise Altered("the proof is too long")
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node(left, root)
        return root

    def _fill(self, end: int) -> None:
        while self.place < end:
            width = 1 << ((end - self.place).bit_length() - 1)
            if self.place:
                width = min(width, self.place & -self.place)
            if (subtree := next(self._hashes, None)) is None:
                raise Altered("the proof is cut off: hashes are missing at its end")
            self._append(subtree, width)

    def _append(self, subtree: bytes, width: int) -> None:
        waiting = self.place // width
        while waiting & 1:
            subtree, waiting = node(self._roots.pop(), subtree), waiting >> 1
        self._roots.append(subtree)
        self.place += width


def proof_hashes(bundle: Bundle, name: str) -> Iterator[bytes]:
    """The hashes of a volume's proof, streaming. Raises `Altered`."""
    with bundle.read_on(name) as file:
        if file.readline() != f"{BETWEEN}\n".encode():
            raise Altered(f"{name} does not start with {BETWEEN}")
        for line in file:
            text = line.decode("ascii", "replace").removesuffix("\n")
            if len(text) != 44 or not line.endswith(b"\n"):
                raise Altered(f"{name} is cut off, or a hash in it is not 32 bytes long")
            yield unbase64(text)


def evidence_rows(bundle: Bundle, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The leaf and the record of each line of a volume, the record without members that have no value."""
    with bundle.read_on(name) as file:
        for line in file:
            record = _object(parse(line))
            index = record.pop("leaf_index", None)
            if not isinstance(index, int) or isinstance(index, bool):
                raise Altered(f"a record of {name} does not name its leaf")
            yield index, {key: value for key, value in record.items() if value is not None or key in STORE_MEMBERS}


def volume_rows(
    bundle: Bundle, volume: dict[str, Any]
) -> Iterator[tuple[int, dict[str, Any], None] | tuple[int, None, dict[str, Any]]]:
    """The leaf of each line of a volume with its record, or with the line that says that it was purged; in order."""
    records, purged = evidence_rows(bundle, volume["records"]), purged_rows(bundle, volume.get("purged"))
    record, gone = next(records, None), next(purged, None)
    while record is not None or gone is not None:
        if gone is None or (record is not None and record[0] <= gone[0]):
            assert record is not None
            yield *record, None
            record = next(records, None)
        else:
            yield gone[0], None, gone[1]
            gone = next(purged, None)


def purged_rows(bundle: Bundle, name: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The leaf of each line of a volume's purged leaves, and the line; nothing where there is no such file."""
    if name is None:
        return
    with bundle.read_on(name) as file:
        for line in file:
            value = _object(parse(line))
            index = value.get("leaf_index")
            if not isinstance(index, int) or isinstance(index, bool):
                raise Altered(f"a line of {name} does not name its leaf")
            yield index, value


EDGES = ("first_leaf", "last_leaf", "first_event", "last_event")
KINDS = ("query", "range", "sample")


@dataclass
class Span:
    """The first and the last leaf of some records, and the first and the last time of their events."""

    leaves: list[int] = field(default_factory=list)
    times: list[str] = field(default_factory=list)

    def add(self, index: int, *times: str) -> None:
        """Take in a leaf, and the time of its event; without one where its record was purged."""
        self.leaves = [self.leaves[0] if self.leaves else index, index]
        if times:
            self.times = [min([*self.times[:1], *times]), max([*self.times[1:], *times])]

    def extend(self, other: "Span") -> None:
        for index in other.leaves:
            self.add(index, *other.times)

    def faults(self, name: str, named: dict[str, Any], members: tuple[str, ...]) -> Iterator[str]:
        """Where the manifest names other values."""
        for member, value in zip(members, [*self.leaves, *self.times], strict=False):
            if named[member] != value:
                yield f"{member} of {name} is {value}, the manifest names {str(named[member])[:60]}"


@dataclass
class Volumes:
    """Checks the volumes in their order: the leaves of each come after those of the one before."""

    bundle: Bundle
    manifest: dict[str, Any]
    checkpoint: Checkpoint
    records: int = 0
    last: int = -1
    received: int = 0
    places: list[int] = field(default_factory=list)
    span: "Span" = field(default_factory=lambda: Span())
    whole: "Span" = field(default_factory=lambda: Span())
    redactions: "Redactions" = field(default_factory=lambda: Redactions({}, {}))
    erasures: Erasures = field(default_factory=Erasures)
    purges: "Purges" = field(default_factory=lambda: Purges())

    def check(self, volume: dict[str, Any]) -> Iterator[str]:
        """The faults of one volume."""
        name, count, self.span = volume["records"], self.records, Span()
        tree = Tree(self.checkpoint.size, proof_hashes(self.bundle, volume["proof"]))
        why = ""
        for index, record, purged in volume_rows(self.bundle, volume):
            if purged is not None:
                why = yield from self._purged(volume["purged"], index, purged, tree, why)
                continue
            self.records += 1
            self.span.add(index, str(record.get("event_timestamp")))
            yield from self._place(name, index)
            self.received += received_within(record, self.manifest.get("received"))
            try:
                named = record.pop("redacted", None)
                closed = self.redactions.closed
                leaf = leaf_of(record) if named is None else self.redactions.leaf(record, named)
                self.erasures.note(record, is_proved=self.redactions.closed == closed)
                self._content(committed(record), named)
                if not why:
                    tree.add(index, leaf)
            except Altered as error:
                why = f"{name}, record {str(record.get('event_id'))[:80]} of leaf {index}: {error}"
                yield why
            show_progress(self.records, 1000)
        if self.records - count != volume["count"]:
            yield f"{name} has {self.records - count} records, the manifest names {volume['count']}"
        yield from self.span.faults(name, volume, ("first", "last", "since", "until"))
        self.whole.extend(self.span)
        yield from () if why else self._root(name, tree)

    def _purged(self, name: str, index: int, line: dict[str, Any], tree: Tree, why: str) -> Generator[str, None, str]:
        """The faults of a leaf without a record. Return `why`, or the fault that keeps the others from the tree."""
        self.span.add(index)
        yield from self._place(name, index)
        try:
            if self.manifest["range"] is None:
                raise Altered("a bundle of a query has no purged leaves")
            leaf = self.purges.leaf(index, line)
            if not why:
                tree.add(index, leaf)
        except Altered as error:
            why = f"{name}, leaf {index}: {error}"
            yield why
        return why

    def _content(self, record: dict[str, Any], named: dict[str, Any] | None) -> None:
        """A record is sealed, and matches the query as far as it is not redacted. Raises `Altered`."""
        if record["state"] != "sealed":
            raise Altered(f"its state is said to be {str(record['state'])[:60]!r}, and it is sealed")
        hidden = {path_parts(path)[0] for path in named or ()}
        terms = self.manifest["terms"] if self.manifest["kind"] != "range" else []
        if not matches(record, [term for term in terms if term["field"] not in hidden]):
            raise Altered("it does not match the query of the bundle")

    def _root(self, name: str, tree: Tree) -> Iterator[str]:
        try:
            same = tree.root() == self.checkpoint.root
        except Altered as error:
            yield f"{name}: {error}"
            return
        if not same:
            yield (
                f"{name} and its proof do not lead to the signed root: a record is not what was sealed, "
                "is left out, or was put in"
            )

    def _place(self, name: str, index: int) -> Iterator[str]:
        before, self.last = self.last, index
        if self.manifest["kind"] == "sample":
            self.places.append(index)
        if self.manifest["kind"] != "range":
            if index <= before:
                yield f"{name}: leaf {index} comes after leaf {before}: a record is out of its place, or twice"
            return
        wanted = self.manifest["range"]["first"] if before < 0 else before + 1
        if index > wanted:
            yield f"{name}: leaf {index} comes where leaf {wanted} should: a record of the range is left out"
        elif index < wanted:
            yield f"{name}: leaf {index} comes where leaf {wanted} should: a record is out of its place, or twice"

    def end(self) -> Iterator[str]:
        """The faults of all volumes together."""
        yield from self.whole.faults("the bundle", self.manifest, EDGES)
        if self.records != self.manifest["records"]:
            yield f"the bundle has {self.records} records, the manifest names {self.manifest['records']}"
        yield from self.purges.end(self.manifest)
        if self.manifest["kind"] == "range" and self.last != self.manifest["range"]["last"] - 1:
            yield f"the range ends at leaf {self.last}, the manifest's at {self.manifest['range']['last'] - 1}"
        yield from self.redactions.end(self.manifest)
        yield from self._sample() if self.manifest["kind"] == "sample" else ()
        window = self.manifest.get("received") if self.manifest["kind"] == "range" else None
        if window and self.received != window["records"]:
            yield (
                f"{self.received} records of the range were received from {window['since']} to before "
                f"{window['until']}, the manifest names {window['records']}"
            )

    def _sample(self) -> Iterator[str]:
        """A sample has as many records as it says; of a range it is drawn again."""
        sample, leaves = self.manifest["sample"], self.manifest["range"]
        if (wanted := min(sample["size"], sample["population"])) != len(self.places):
            yield f"the sample has {len(self.places)} records, {wanted} are drawn of {sample['population']}"
        if leaves is None:
            return
        if sample["population"] != leaves["last"] - leaves["first"]:
            yield f"the range has {leaves['last'] - leaves['first']} leaves, the manifest names {sample['population']}"
        yield from other_sample(self.places, draw(range(leaves["first"], leaves["last"]), sample), sample)


def received_within(record: dict[str, Any], window: dict[str, Any] | None) -> bool:
    """Whether the record was received in the window of time that was asked for; its proof covers that time."""
    return window is not None and window["since"] <= record["received_at"] < window["until"]


# --- Samples, and queries asked again ----------------------------------------------------------

SAMPLE = "auditsite/sample/v1"
NOTHING = object()


def draw(leaves: Iterable[int], sample: dict[str, Any]) -> list[int]:
    """The leaves with the least ranks: SHA-256 of the header, the seed and the leaf, a line each."""

    def rank(index: int) -> bytes:
        return hashlib.sha256(f"{SAMPLE}\n{sample['seed']}\n{index}\n".encode()).digest()

    return sorted(heapq.nsmallest(sample["size"], leaves, key=rank))


def other_sample(leaves: list[int], drawn: list[int], sample: dict[str, Any]) -> Iterator[str]:
    """The faults of a sample: its leaves must be those that the seed draws."""
    for index in sorted(set(drawn) - set(leaves))[:MAX_FAULTS_SHOWN]:
        yield f"the seed {sample['seed']!r} draws leaf {index}, which is not in the sample"
    for index in sorted(set(leaves) - set(drawn))[:MAX_FAULTS_SHOWN]:
        yield f"leaf {index} is in the sample, and the seed {sample['seed']!r} does not draw it"


def matches(record: dict[str, Any], terms: list[dict[str, Any]]) -> bool:
    """Whether a record matches a query: all of its terms hold."""
    return all(holds(record, term) != bool(term.get("negated", False)) for term in terms)


def holds(record: dict[str, Any], term: dict[str, Any]) -> bool:
    """Whether the record has one of the values, or its time lies within the bounds."""
    value: Any = record.get(term["field"], NOTHING)
    if "is" in term or "is_not" in term:
        return is_address(value, term["is"]) if "is" in term else not is_address(value, term["is_not"])
    if "equals" not in term:
        return not (value < term.get("from", "") or value >= term.get("before", "~") or value > term.get("until", "~"))
    for key in term.get("path", ()):
        value = value.get(key, NOTHING) if isinstance(value, dict) else NOTHING
    if isinstance(value, str) and value.startswith(tuple(term["begins"])):
        return True
    return any(same(value, wanted) for wanted in term["equals"])


def is_address(text: Any, wanted: list[str]) -> bool:
    """Whether a text is one of the addresses, in any spelling, or begins with one that ends in a dot or a colon."""
    try:
        address = ipaddress.ip_address(text) if isinstance(text, str) and "%" not in text else None
    except ValueError:
        return False
    if address is None:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    groups = (f"{int(group, 16):x}" for group in address.exploded.split(":"))
    spelled = str(address) if address.version == 4 else ":".join(groups)
    return spelled in wanted or spelled.startswith(tuple(start for start in wanted if start.endswith((".", ":"))))


def same(value: Any, wanted: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and neither is true."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


BOUNDS = ("from", "before", "until")
COMPARED = {"field", "equals", "begins", "negated"}
# What a query can name: a term by anything else would match no record, or each.
ASKED = ("actor_id", "actor_ip", "actor_type", "cluster_id", "correlation_id", "error_code", "event_action")
ASKED += ("event_category", "event_data", "event_id", "event_outcome", "event_type", "namespace", "parent_event_id")
ASKED += ("resource_id", "resource_type", "severity", "writer")


def check_terms(terms: list[dict[str, Any]]) -> None:
    """Raise `Unusable` for a term that the store does not write: it would say one thing and compare another."""
    for term in terms:
        bounds = [term[name] for name in BOUNDS if name in term]
        if not (is_time_term(term) if bounds else is_term(term)):
            raise Unusable(f"a term of the query is none that the store writes: {terms_text([term])[:200]}")
        for bound in bounds:
            seconds(bound)


def is_time_term(term: dict[str, Any]) -> bool:
    """Whether a term is about the time of the event, and about nothing else."""
    return term.keys() <= {"field", *BOUNDS} and bool(term.get("field") == "event_timestamp")


def is_term(term: dict[str, Any]) -> bool:
    """Whether a term is one of values or of addresses."""
    if term.keys() in ({"field", "is"}, {"field", "is_not"}):
        return term["field"] in ASKED and are_texts(term.get("is", term.get("is_not")))
    is_of_data = term.get("field") == "event_data"
    if term.keys() != COMPARED | ({"path"} if is_of_data else set()) or term["field"] not in ASKED:
        return False
    texts = are_texts(term["begins"]) and are_texts(term.get("path", []))
    return texts and isinstance(term["equals"], list) and isinstance(term["negated"], bool)


def are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def terms_text(terms: list[dict[str, Any]]) -> str:
    return json.dumps(terms, ensure_ascii=True, sort_keys=True)


def leaves_that_match(
    bundle: Bundle, manifest: dict[str, Any], terms: list[dict[str, Any]], size: int
) -> dict[int, str]:
    """The leaves below `size` of a bundle of a range whose records match, with the ids of these.

    Raises `Uncovered` for redacted ones.
    """
    ids = {}
    for volume in manifest["volumes"]:
        for index, record in evidence_rows(bundle, volume["records"]):
            if "redacted" in record:
                raise Uncovered(f"the record of leaf {index} is redacted: give a bundle without redaction")
            if index < size and matches(committed(record), terms):
                ids[index] = str(record.get("event_id"))
    return ids


def same_log(bundle: Bundle, manifest: dict[str, Any], checkpoint: Checkpoint) -> None:
    """The range is of the tree of this checkpoint: by its own, or by all its leaves. Raises `Altered`, `Uncovered`."""
    own = manifest["log"]["size"], unbase64(manifest["log"]["root"])
    if own == (checkpoint.size, checkpoint.root):
        return
    if manifest["range"]["first"] or manifest["range"]["last"] < checkpoint.size:
        raise Uncovered(
            f"the range is proved under a checkpoint of {own[0]} records, and has not all {checkpoint.size} leaves of "
            "the other: nothing shows that both are of one log"
        )
    if root_of(bundle, manifest, checkpoint.size) != checkpoint.root:
        raise Forked("the two bundles are of two different logs: their records do not lead to both signed roots")


def root_of(bundle: Bundle, manifest: dict[str, Any], size: int) -> bytes:
    """The root of the tree of the first leaves, so many, of a bundle of a range that has them all."""
    tree = Tree(size, iter(()))
    for volume in manifest["volumes"]:
        for index, record, purged in volume_rows(bundle, volume):
            if index < size:
                tree.add(index, unbase64(purged["leaf_hash"]) if record is None else entry_leaf(record))
    return tree.root()


# --- Redaction --------------------------------------------------------------------------------

PATH_PART = re.compile(r'(\*\*?|[^\s."*\\]+|"(?:[^"\\]|\\.)*")(?:\.|\Z)')
NEVER_REDACTED = ("event_id", "event_timestamp", "version", "event_type", "event_category", "event_action")
NEVER_REDACTED += ("event_outcome", "writer", "leaf_index", "erasable", "redacted", *BESIDE, *STORE_MEMBERS)
# What each method leaves of a value.
LEFT = {
    "remove": re.compile(r"\Z"),
    "digest": re.compile(r"hmac-sha256:[0-9a-f]{64}\Z"),
    "mask": re.compile(r"(?:[0-9]{1,3}\.|.?)\*\*\*(?:@.?\*\*\*)?\Z", re.DOTALL),
}


@dataclass
class Redactions:
    """Which members of which records are redacted: each by a rule that the manifest names, and as the rule says."""

    rules: dict[str, dict[str, Any]]
    originals: dict[str, dict[str, Any]]
    records: int = 0
    opened: int = 0
    members: dict[str, int] = field(default_factory=dict)

    @property
    def closed(self) -> int:
        """How many records have redacted members, and no original that shows what remains of them."""
        return self.records - self.opened

    def leaf(self, record: dict[str, Any], named: Any) -> bytes:
        """The leaf hash of a record that is redacted. Raises `Altered` where it is more than the manifest says."""
        if not isinstance(named, dict) or not named:
            raise Altered("its member redacted does not name what is redacted")
        self.records += 1
        for path, rule in named.items():
            self._check(record, path, self.rules.get(rule), rule)
            self.members[rule] = self.members.get(rule, 0) + 1
        hidden = [path_parts(path) for path in named]
        check_values(record, hidden)
        if (whole := self.originals.get(str(record.get("event_id")))) is not None:
            self.opened += self._shows(whole, record, hidden)
        return entry_leaf(record)

    def end(self, manifest: dict[str, Any]) -> Iterator[str]:
        """Where the manifest names other counts."""
        named = manifest.get("redaction") or {"records": 0, "rules": []}
        if self.records != named["records"]:
            yield f"{self.records} records are redacted, the manifest names {named['records']}"
        for rule in named["rules"]:
            if (count := self.members.get(rule["name"], 0)) != rule["members"]:
                yield f"{count} members are redacted by {rule['name']}, the manifest names {rule['members']}"

    def _check(self, record: dict[str, Any], path: str, rule: dict[str, Any] | None, name: Any) -> None:
        if rule is None:
            raise Altered(f"{path} is redacted by {str(name)[:60]!r}, a rule that the manifest does not name")
        parts = path_parts(path)
        kind, wanted = str(record.get("event_type")), rule["event_type"]
        of_type = kind.startswith(wanted[:-1]) if wanted.endswith(".*") else wanted in ("", kind)
        if parts[0] in NEVER_REDACTED or not of_type or not fits(parts, path_parts(rule["path"])):
            raise Altered(f"{path} is redacted by {name}, a rule that does not ask for it")
        for other in record.get("salts") or {}:
            if overlap(parts, path_parts(other)):
                raise Altered(f"{path} is redacted by {name}, and the salt of its value is still here")
        value = member_at(record, parts)
        if not LEFT[rule["method"]].match("" if value is None else value if isinstance(value, str) else "?"):
            raise Altered(f"{path} is redacted by {name}, and is not what the method {rule['method']} leaves")

    def _shows(self, whole: dict[str, Any], record: dict[str, Any], hidden: list[list[str]]) -> bool:
        """Whether the record as it was shows all that remains: it has this digest, and differs in what is redacted.

        Raises `Altered` where it says something else.
        """
        check_values(whole)
        if hashlib.sha256(b"\x00" + canonical(committed(whole))).hexdigest() != record["digest"]:
            raise Altered("the original that was given is not this record: its digest is another")
        # What is said to be erased is left out below, so it must be what the original commits to, and nothing else.
        if canonical(record.get("erasable") or {}) != canonical(whole.get("erasable") or {}):
            raise Altered("the original that was given commits to other members that can be erased")
        gone, said = whole.get("erased") or {}, record.get("erased") or {}
        left, original = (
            {name: value for name, value in each.items() if name not in (*STORE_MEMBERS, *BESIDE)}
            for each in (record, whole)
        )
        for parts in (*hidden, *map(path_parts, {**said, **gone})):
            left, original = without(left, parts), without(original, parts)
        if canonical(left) != canonical(original):
            raise Altered("under cover of redaction its content was changed: the original says something else")
        # What was erased since, and is shown in part, without its salt, has nothing left to be compared with.
        alone = [path_parts(path) for path in gone if path not in said and path not in (record.get("salts") or {})]
        return all(any(parts[: len(other)] == other for other in hidden) for parts in alone)


def path_parts(path: str) -> list[str]:
    """The parts of a path, as they are written. Raises `Altered`."""
    parts, place = [], 0
    while place < len(path):
        if (match := PATH_PART.match(path, place)) is None:
            raise Altered(f"{path[:100]!r} is not the path of a member")
        parts.append(match[1])
        place = match.end()
    if not parts:
        raise Altered("a path of redaction is empty")
    return ["event_data", *parts[1:]] if parts[0] == "data" else parts


def overlap(parts: list[str], others: list[str]) -> bool:
    """Whether one of two paths leads to a place within the other's, or to the same."""
    return all(part == other for part, other in zip(parts, others, strict=False))


def fits(parts: list[str], pattern: list[str]) -> bool:
    """Whether a path is one that a rule's path names: `*` is any one part, `**` any number."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return fits(parts, pattern[1:]) or (bool(parts) and fits(parts[1:], pattern))
    return bool(parts) and pattern[0] in ("*", parts[0]) and fits(parts[1:], pattern[1:])


def part_key(part: str, holder: Any) -> Any:
    """What a part of a path means in an object or a list; None where there is no such member."""
    if isinstance(holder, list):
        return int(part) if part.isascii() and part.isdigit() and int(part) < len(holder) else None
    name = re.sub(r"\\(.)", r"\1", part[1:-1], flags=re.DOTALL) if part.startswith('"') else part
    return name if isinstance(holder, dict) and name in holder else None


def member_at(record: dict[str, Any], parts: list[str]) -> Any:
    """What stands at a path; None where nothing does."""
    value: Any = record
    for part in parts:
        if (key := part_key(part, value)) is None:
            return None
        value = value[key]
    return value


def without(value: Any, parts: list[str]) -> Any:
    """The same without what stands at a path; a list keeps the place."""
    if (key := part_key(parts[0], value)) is None:
        return value
    rest = None if len(parts) == 1 else without(value[key], parts[1:])
    if isinstance(value, list):
        return [*value[:key], rest, *value[key + 1 :]]
    kept = {name: member for name, member in value.items() if name != key}
    return kept if len(parts) == 1 else {**kept, key: rest}


def replaced(value: Any, parts: list[str], by: Any) -> Any:
    """The same with something else at a path, where there is one."""
    if not parts:
        return by
    if (key := part_key(parts[0], value)) is None:
        return value
    rest = replaced(value[key], parts[1:], by)
    if isinstance(value, list):
        return [*value[:key], rest, *value[key + 1 :]]
    return {**value, key: rest}


def read_originals(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Records as they were, by id: of files of JSON lines, as a bundle has them that is not redacted."""
    originals = {}
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                record = _object(parse(line))
                record = _object(record.get("record", record))
                kept = {name: value for name, value in record.items() if value is not None}
                event = {name: value for name, value in kept.items() if name not in (*STORE_MEMBERS, "leaf_index")}
                originals[str(record.get("event_id"))] = {name: event[name] for name in event if name != "redacted"}
    return originals


# --- The rest of a bundle ---------------------------------------------------------------------


def check_csv(bundle: Bundle, name: str, records: str) -> Iterator[str]:
    """A CSV must say what the JSON lines beside it say, which are proved."""
    csv.field_size_limit(MAX_TEXT_BYTES)
    with bundle.read_on(name) as table, bundle.read_on(records) as file:
        rows = csv.reader(io.TextIOWrapper(table, "utf-8-sig", newline=""))
        heads = next(rows, [])
        for line in file:
            values = _object(parse(line))
            row = next(rows, [])
            is_same = any(row == [as_cell(value) for value in values.values()] for as_cell in (cell, old_cell))
            if heads != list(values) or not is_same:
                yield f"{name} does not say what {records} says, at leaf {values.get('leaf_index')}"
                return
        if next(rows, None) is not None:
            yield f"{name} has more lines than {records}"


def cell(value: Any) -> str:
    """A value as the text of a cell, with an apostrophe before each place at which a formula could begin."""
    if value is None:
        return ""
    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return LATER_FORMULA.sub(lambda match: f"{match[1]}\\u{ord(match[2]):04x}", text)
    guarded = LATER_FORMULA.sub(r"\1'\2", value)
    return f"'{guarded}" if guarded.startswith(FORMULA) else guarded


def old_cell(value: Any) -> str:
    """The same in bundles of before: an apostrophe at the beginning alone."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if isinstance(value, str) and text.startswith(OLD_FORMULA) else text


def evidence_checkpoint(bundle: Bundle, manifest: dict[str, Any], trust: Trust) -> Checkpoint:
    """The checkpoint of the bundle, which must be the manifest's. Raises `Altered`, `Uncovered`, `Unusable`."""
    checkpoint = trust.checkpoint(bundle.text("checkpoint.txt"))
    log = manifest["log"]
    if checkpoint.size != log["size"]:
        age = "an older" if checkpoint.size < log["size"] else "another"
        raise Altered(
            f"checkpoint.txt is {age} checkpoint, of {checkpoint.size} records; the manifest's is of {log['size']}"
        )
    if base64.b64encode(checkpoint.root).decode() != log["root"]:
        raise Altered("checkpoint.txt has another root than the manifest names")
    if checkpoint.signed_at is not None and abs(seconds(manifest["as_of"]) - checkpoint.signed_at) > CLOCK_SLACK_S:
        raise Altered(f"the manifest is as of {manifest['as_of']}, its checkpoint was{_when(checkpoint.signed_at)[1:]}")
    return checkpoint


# Between the second in which a checkpoint was signed and the time that the store notes of it.
CLOCK_SLACK_S = 2


def seconds(text: Any) -> float:
    """A time as the store writes it, in seconds. Raises `Unusable`: in another form it is not in order as text."""
    try:
        if isinstance(text, str) and TIME.match(text):
            return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        pass
    raise Unusable(f"{str(text)[:60]!r} is not a time like 2026-08-18T10:00:00.000000Z")


@dataclass
class Evidence:
    """An evidence bundle with the keys that count, and what was read of it so far."""

    bundle: Bundle
    trust: Trust
    receipt_keys: list[Key]
    originals: dict[str, dict[str, Any]] = field(default_factory=dict)
    manifest: dict[str, Any] = field(init=False)
    checkpoint: Checkpoint = field(init=False)
    volumes: Volumes = field(init=False)

    def faults(self) -> Iterator[str]:
        """All that is wrong with the bundle. Where nothing is, it was read whole. Raises `Uncovered`."""
        try:
            self.manifest = read_manifest(self.bundle, self.receipt_keys)
            yield from check_files(self.bundle, self.manifest)
            self.checkpoint = evidence_checkpoint(self.bundle, self.manifest, self.trust)
            rules = {rule["name"]: rule for rule in (self.manifest.get("redaction") or {"rules": []})["rules"]}
            redactions = Redactions(rules, self.originals)
            self.volumes = Volumes(self.bundle, self.manifest, self.checkpoint, redactions=redactions)
            if self.manifest["evidence"] == EVIDENCE_WITH_PURGED:
                self.volumes.purges = read_purges(self.bundle, self.manifest, self.trust, self.receipt_keys)
            for volume in self.manifest["volumes"]:
                yield from self.volumes.check(volume)
                if "csv" in volume:
                    yield from check_csv(self.bundle, volume["csv"], volume["records"])
            yield from self.volumes.end()
        except (Altered, Unusable) as error:
            yield str(error)
        except (*BROKEN_ZIP, csv.Error, UnicodeDecodeError):
            yield "a file of the bundle was changed, so that it cannot be read"


def evidence_keys(bundle: Bundle, options: argparse.Namespace) -> tuple[Trust, list[Key]]:
    """The keys that count: those given, else those that came with the bundle."""
    lines = [line for line in bundle.text("keys.txt").splitlines() if line.strip() and not line.startswith("#")]
    lines = [line for line in lines if not line.startswith(f"{EVIDENCE_WITH_PURGED}: ")]  # said to programs of before
    claimed = [read_key(line, (ED25519,)) for line in lines]
    receipts = [read_key(text, (ED25519,)) for text in options.receipt_key]
    given = {"--key": bool(options.key or options.keys), "--receipt-key": bool(receipts)}
    if not given["--key"]:
        options.key = [str(key) for key in claimed if not key.name.endswith(RECEIPTS)]
    options.bundle = None
    trust = trust_of(options)
    trust.unconfirmed = tuple(option for option, is_given in given.items() if not is_given)
    return trust, receipts or [key for key in claimed if key.name.endswith(RECEIPTS)]


def report_evidence(evidence: Evidence, drawn_again: list[str]) -> None:
    """Print what the proof of the bundle shows, and what the bundle only states."""
    manifest, trust, redactions = evidence.manifest, evidence.trust, evidence.volumes.redactions
    what = "a range of the log" if manifest.get("range") else manifest["query"] or "everything"
    report = Report("bundle")
    report.stated.append(f"evidence {manifest['id']} of {manifest['system']}: {what}")
    report.stated.append(
        f"requested by {manifest['requested_by']} at {manifest['requested_at']}, as of {manifest['as_of']}"
    )
    report.checked.append(f"{evidence.volumes.records} records checked against the log {trust.keys[0].name}")
    report.add_checkpoint("checkpoint", evidence.checkpoint)
    report.checked += crosslink_lines(trust)
    report.add_keys([*trust.keys, *evidence.receipt_keys], trust)
    report_content(evidence, report)
    if manifest["kind"] == "sample":
        report_sample(manifest, drawn_again, report)
    elif manifest["kind"] == "range":
        report_range(manifest, report)
    else:
        report.stated.append("that no other record matches the query")
    evidence.volumes.purges.report(report)
    report_redactions(manifest, redactions, report)
    evidence.volumes.erasures.report(report)
    report.stated.append("statement.json, of what waits in the queue and what never came")
    report.stated.append("what README.html and query.txt say, for people to read, and the program verify.py in it")
    report.say()


def report_content(evidence: Evidence, report: Report) -> None:
    """Say of the records, if there are any, what holds of each."""
    if not evidence.volumes.records:
        return
    redactions = evidence.volumes.redactions
    where = " where it is not redacted" if redactions.closed else ""
    report.checked.append(f"each record is in the log, and as it was sealed{where}")
    if evidence.manifest["kind"] != "range" and evidence.manifest["terms"]:
        report.checked.append(f"each record matches the query{where}: {terms_text(evidence.manifest['terms'])}")


def report_range(manifest: dict[str, Any], report: Report) -> None:
    """Say which leaves these are, and which of them were received in the time that was asked for."""
    first, last = manifest["range"]["first"], manifest["range"]["last"]
    purged = manifest.get("purged", 0)
    but = f" but the {purged} that were purged" if purged else ""
    report.checked.append(f"these are all leaves from {first} to {last - 1}: no record of the range is left out{but}")
    if window := manifest.get("received"):
        report.checked.append(
            f"{window['records']} of them were received from {window['since']} to before {window['until']}"
        )
        report.stated.append("that no record outside the range was received in that time")


def report_sample(manifest: dict[str, Any], drawn_again: list[str], report: Report) -> None:
    """Say of what the sample was drawn, and whether that was checked."""
    sample, leaves = manifest["sample"], manifest["range"]
    drawn = f"a sample of {sample['size']} of {sample['population']}, drawn with the seed {sample['seed']!r}"
    if drawn_again or leaves is not None:
        report.checked += [drawn, *drawn_again]
    else:
        report.stated += [drawn, "of which leaves it was drawn; give all of them to check it: verify.py sample"]
    if leaves is not None:
        report.checked.append(f"these are what the seed draws of the leaves {leaves['first']} to {leaves['last'] - 1}")


def report_redactions(manifest: dict[str, Any], redactions: Redactions, report: Report) -> None:
    """Say what was redacted and by which rule, and what is left to be believed."""
    for rule in (manifest.get("redaction") or {"rules": []})["rules"]:
        kind = f" of {rule['event_type']}" if rule["event_type"] else ""
        what = f"{rule['members']} members {rule['path']}{kind}"
        report.checked.append(f"redacted by {rule['name']} ({rule['method']}): {what}")
        report.stated.append(f"the reason of {rule['name']}: {rule['reason']}")
    if redactions.opened:
        report.checked.append(
            f"{redactions.opened} redacted records say what their originals say, but for what is redacted"
        )
    if closed := redactions.closed:
        report.checked.append(f"place, digest and times of {closed} redacted records")
        report.stated.append(
            f"what remains of the content of {closed} redacted records; give them whole with --originals to check it"
        )


def verify_evidence(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    bundle = Bundle(options.evidence)
    evidence = Evidence(bundle, *evidence_keys(bundle, options), read_originals(options.originals))
    count, verdict = 0, VERIFIED
    try:
        for count, fault in enumerate(evidence.faults(), start=1):
            if count <= MAX_FAULTS_SHOWN:
                say(f"{ALTERED}  {fault}")
    except Uncovered as error:
        verdict = refuse("", error)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"a file of the bundle lacks something that it should have: {error}") from None
    if count:
        say(f"{count} faults" if count > 1 else "one fault")
        return ALTERED
    return end_evidence(evidence) if verdict == VERIFIED else verdict


def end_evidence(evidence: Evidence, drawn_again: list[str] | None = None) -> str:
    """Print what is shown by a bundle in which nothing is wrong, and return the verdict."""
    report_evidence(evidence, drawn_again or [])
    if lacks_witnesses(evidence.checkpoint, evidence.trust):
        return NOT_COVERED
    if not evidence.volumes.records:
        is_purged = evidence.volumes.purges.count > 0
        why = "all of its leaves were purged" if is_purged else "that none matches is stated, not checked"
        say(f"{NOT_COVERED}  the bundle holds no record: {why}")
        return NOT_COVERED
    verdict, redactions = verdict_of(Result(verdict=VERIFIED), evidence.trust), evidence.volumes.redactions
    return REDACTED if verdict == VERIFIED and redactions.closed else verdict


# --- Signed statements ------------------------------------------------------------------------

STATEMENT = "auditsite/statement/v1"
# A statement names so many of the records that match, where there are so many.
MAX_NAMED = 100
# The store takes no event whose time is more than this ahead of its receipt.
MAX_AHEAD_S = 3600


def signed_line(note: str, header: str, keys: list[Key], otherwise: str) -> str:
    """The third line of a note (header, origin, line), signed by a key of receipts that is trusted.

    Raises `Unusable` with the words `otherwise` where it is not such a note, `Altered`, and `Uncovered`.
    """
    text, signatures = read_note(note)
    first, origin, line, end = (*text.split("\n"), "", "", "")[:4]
    if first != header or end or text.count("\n") != 3:
        raise Unusable(otherwise)
    foreign = f"no key of receipts of the log {origin} that you trust has signed this"
    check_receipt_keys(text, signatures, origin, keys, foreign)
    return line


def read_statement(note: str, keys: list[Key]) -> dict[str, Any]:
    """What a statement says, signed by a key of receipts that is trusted. Raises `Altered`, `Uncovered`, `Unusable`."""
    otherwise = f"this is no statement: {STATEMENT}, origin, what is said"
    return _object(parse(signed_line(note, STATEMENT, keys, otherwise).encode()))


def statement_checkpoints(statement: dict[str, Any], trust: Trust) -> tuple[Checkpoint, Checkpoint | None]:
    """The checkpoint of a statement, and the one before its first leaf, which must be older than the window.

    Raises `Altered`, `Unusable`.
    """
    check_terms(statement["terms"])
    checkpoint = trust.checkpoint(statement["checkpoint"])
    first, last = statement["leaves"]["first"], statement["leaves"]["last"]
    if last != checkpoint.size:
        raise Altered(f"it is about leaves up to {last - 1}, and its checkpoint covers {checkpoint.size}")
    if not first and statement["before"] is None:
        return checkpoint, None
    before = trust.checkpoint(statement["before"])
    begins = max((term["from"] for term in statement["terms"] if "from" in term), default="")
    if before.size != first or not begins:
        raise Altered(f"nothing shows why it begins at leaf {first}")
    if before.signed_at is None or before.signed_at + MAX_AHEAD_S > seconds(begins):
        raise Altered(f"leaves before {first} were sealed less than an hour before the time that is asked for")
    return checkpoint, before


def lacks_early_witnesses(statement: dict[str, Any], before: Checkpoint, trust: Trust) -> bool:
    """Whether too few witnesses attest that the leaves before the first were sealed by then; it is printed then.

    The log's own time of that checkpoint is what the log says: with its key it can be said of any moment.
    """
    begins = max(seconds(term["from"]) for term in statement["terms"] if "from" in term)
    early = [moment for moment in before.witnessed.values() if moment + MAX_AHEAD_S <= begins]
    if len(early) >= trust.quorum:
        return False
    say(
        f"{NOT_COVERED}  fewer than the {trust.quorum} witnesses that you ask for had cosigned the checkpoint before "
        f"leaf {before.size} an hour before the time that is asked for: give a bundle of all leaves from 0 with --range"
    )
    return True


def check_statement(
    statement: dict[str, Any], log: Evidence, checkpoint: Checkpoint, before: Checkpoint | None
) -> bool:
    """Ask the query again of each record of a range; return whether leaves before the first were asked, too.

    Raises `Altered`, `Uncovered`.
    """
    manifest, first, last = log.manifest, statement["leaves"]["first"], statement["leaves"]["last"]
    if manifest["kind"] != "range" or manifest["range"]["first"] > first or manifest["range"]["last"] < last:
        raise Uncovered(f"the bundle has not all leaves from {first} to {last - 1}")
    same_log(log.bundle, manifest, checkpoint)
    refuse_purged(log, first, last)
    ids = leaves_that_match(log.bundle, manifest, statement["terms"], last)
    leaves = [index for index in ids if index >= first]
    if len(leaves) != statement["found"]:
        example = f", leaf {leaves[0]} for one" if leaves else ""
        raise Altered(
            f"{len(leaves)} of the {last - first} records match{example}, the statement says {statement['found']}"
        )
    named = [(record["leaf"], record["event_id"]) for record in statement["records"]]
    if named != [(index, ids[index]) for index in leaves[: min(statement["found"], MAX_NAMED)]]:
        raise Altered("other records match than the statement names")
    return before is not None and are_as_before(log, before, ids)


def are_as_before(log: Evidence, before: Checkpoint, ids: dict[int, str]) -> bool:
    """Whether a range has all leaves of the checkpoint before a statement's first leaf, with their records.

    Raises `Altered` where one of these matches, and `Forked` where they are another tree.
    """
    if log.manifest["range"]["first"]:
        return False
    if before.size and root_of(log.bundle, log.manifest, before.size) != before.root:
        raise Forked(f"the checkpoint before leaf {before.size} is not of the log that the range is of")
    if (earliest := min(ids, default=before.size)) < before.size:
        raise Altered(f"leaf {earliest} matches, which the statement is not about")
    rows = (row for volume in log.manifest["volumes"] for row in purged_rows(log.bundle, volume.get("purged")))
    return all(index >= before.size for index, _ in rows)


def report_statement(statement: dict[str, Any], checkpoint: Checkpoint, keys: list[Key], *, is_checked: bool) -> None:
    """Print what the statement says, of which leaves, and whether that was checked with a bundle of them."""
    first, last = statement["leaves"]["first"], statement["leaves"]["last"]
    report = Report("statement", ["the statement is signed by a key that you gave"])
    report.checked.append(f"checkpoint: {checkpoint.size} records{_when(checkpoint.signed_at)}, by the log itself")
    if first:
        report.checked.append(f"leaves before {first} were sealed an hour or more before the time that is asked for")
    report.checked += [f"key (pinned): {key}" for key in keys]
    report.stated.append(
        f"statement {statement['id']} of {statement['system']}, "
        f"made at {statement['made_at']}, requested by {statement['asked_by']}"
    )
    report.stated.append(f"query: {statement['query']}")
    what = (
        f"records that match: {statement['found'] or 'none'} of the {last - first} of the leaves {first} to {last - 1}"
    )
    lines = [f"asked of each record: {terms_text(statement['terms'])}", what]
    if is_checked:
        report.checked += lines
    else:
        report.stated += [*lines, "give a bundle of these leaves with --range to check it"]
    report.say()


def verify_statement(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    options.bundle = None
    trust, keys = trust_of(options), [read_key(text, (ED25519,)) for text in options.receipt_key]
    try:
        statement = read_statement(options.statement.read_bytes().decode("utf-8"), keys)
        checkpoint, before = statement_checkpoints(statement, trust)
        is_asked_of_all = before is None
        if options.range is not None:
            log = Evidence(Bundle(options.range), trust, keys)
            if (fault := next(log.faults(), None)) is not None:
                raise Altered(f"the bundle of the range does not hold: {fault}")
            is_asked_of_all |= check_statement(statement, log, checkpoint, before)
    except (Altered, Uncovered) as error:
        return refuse("the statement", error)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"the statement lacks something that it should have: {error}") from None
    report_statement(statement, checkpoint, [*trust.keys, *keys], is_checked=options.range is not None)
    if lacks_witnesses(checkpoint, trust):
        return NOT_COVERED
    if before is not None and not is_asked_of_all and lacks_early_witnesses(statement, before, trust):
        return NOT_COVERED
    return SIGNED if options.range is None else VERIFIED


# --- Signed extracts --------------------------------------------------------------------------

EXTRACT = "auditsite/export/v1"
# What the answer of `GET export` has of an event beyond the record.
EXTRACT_MEMBERS = ("leaf_index", "verified", "redacted", "hash_chain_valid", "legal_hold")


def check_extract(document: dict[str, Any], keys: list[Key]) -> Iterator[str]:
    """The faults of the answer of `GET export`: of its signature, and of the digest of each event."""
    otherwise = f"the signature is not that of an export: {EXTRACT}, origin, SHA-256"
    digest = signed_line(str(document.pop("signature", "")), EXTRACT, keys, otherwise)
    if hashlib.sha256(canonical(document)).hexdigest() != digest:
        yield "the file is not the one that was signed"
    for event in document["events"]:
        record = {name: value for name, value in event.items() if name not in EXTRACT_MEMBERS}
        try:
            entry_leaf(record) if event["redacted"] else leaf_of(record)
        except Altered as error:
            yield f"{str(event.get('event_id'))[:80]}: {error}"


def verify_extract(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Unusable`."""
    keys = [read_key(text, (ED25519,)) for text in options.receipt_key]
    document = _object(parse(options.export.read_bytes()))
    try:
        faults = list(check_extract(document, keys))
        verification, events = document["verification"], document["events"]
        query, redacted = document["export_metadata"]["query"], sum(bool(event["redacted"]) for event in events)
        valid, checked = verification["valid_events"], verification["total_events_verified"]
    except Uncovered as error:
        return refuse("the export", error)
    except Altered as error:
        faults = [str(error)]
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"the export lacks something that it should have: {error}") from None
    for fault in faults[:MAX_FAULTS_SHOWN]:
        say(f"{ALTERED}  the export: {fault}")
    if faults:
        return ALTERED
    report = Report("export", [f"{len(events)} events, signed by a key that you gave"])
    report.checked.append(f"the digest of {len(events) - redacted} events that are not redacted")
    report.stated.append(f"query: {query!r}")
    report.stated.append(f"{valid} of {checked} were found to be as sealed; for proofs: POST exports")
    report.stated.append("that no other record matches")
    if redacted:
        report.stated.append(f"what remains of the content of {redacted} redacted events")
    report.say()
    return SIGNED


# --- Certificates of purges -------------------------------------------------------------------

PURGE = "auditsite/purge/v1"
CERTIFICATES = "purges.jsonl"
RANGE = re.compile(r"([0-9]{1,15}) ([0-9]{1,15})\Z", re.ASCII)


def read_certificate(note: str, keys: list[Key]) -> dict[str, Any]:
    """What a certificate says, signed by a trusted key of receipts. Raises `Altered`, `Uncovered`, `Unusable`."""
    otherwise = f"this is no certificate of a purge: {PURGE}, origin, what is said"
    return _object(parse(signed_line(note, PURGE, keys, otherwise).encode()))


def certified_ranges(certificate: dict[str, Any], text: str | None) -> list[tuple[int, int]] | None:
    """The log entries that were removed, first and last + 1; None where they are not at hand. Raises `Altered`.

    `text` has them all, a line FIRST LAST for each; without it they are those that the certificate names.
    """
    ranges = [(first, last) for first, last in certificate["named"]]
    if text is not None:
        found = [RANGE.match(line) for line in text.removesuffix("\n").split("\n")]
        if not all(found):
            raise Unusable("its ranges are not lines of two numbers, FIRST LAST")
        ranges = [(int(match[1]), int(match[2])) for match in found if match]
    elif len(ranges) != certificate["ranges"]:
        return None
    body = "".join(f"{first} {last}\n" for first, last in ranges)
    if hashlib.sha256(body.encode()).hexdigest() != certificate["ranges_sha256"]:
        raise Altered("these ranges are not those that it was signed for")
    if sum(last - first for first, last in ranges) != certificate["records"]:
        raise Altered("its ranges have not as many log entries as it says records were removed")
    return ranges


def verify_purge(options: argparse.Namespace) -> str:
    """Verify a certificate, print it, and say of each leaf that is asked for whether its record was removed."""
    keys = [read_key(text, (ED25519,)) for text in options.receipt_key]
    try:
        certificate = read_certificate(options.certificate.read_bytes().decode("utf-8"), keys)
        text = None if options.ranges is None else options.ranges.read_text(encoding="utf-8")
        ranges = certified_ranges(certificate, text)
        for leaf in options.leaf:
            require_removed(leaf, certificate, ranges)
        report_certificate(certificate, keys, options.leaf)
    except (Altered, Uncovered) as error:
        return refuse("the certificate", error)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unusable(f"the certificate lacks something that it should have: {error}") from None
    return SIGNED


def require_removed(leaf: int, certificate: dict[str, Any], ranges: list[tuple[int, int]] | None) -> None:
    """Raise `Uncovered` where a certificate does not say that the record of a leaf was removed."""
    if ranges is None:
        named, count = len(certificate["named"]), certificate["ranges"]
        raise Uncovered(f"it names {named} of its {count} ranges: give all of them with --ranges")
    if not any(first <= leaf < last for first, last in ranges):
        raise Uncovered(f"leaf {leaf} is not among what it says was removed")


def report_certificate(certificate: dict[str, Any], receipt_keys: list[Key], leaves: list[int]) -> None:
    """Print what was removed, by whom and why."""
    the, report = certificate, Report("certificate", ["the certificate is signed by a key that you gave"])
    report.checked += [f"PURGED  leaf {leaf}: it is among what the certificate says was removed" for leaf in leaves]
    report.checked += [f"key (pinned): {key}" for key in receipt_keys]
    report.stated += [
        f"purge {the['plan']} of {the['system']}, ended and certified at {the['made_at']}",
        f"{the['records']} records of {the['ranges']} ranges of leaves, due at {the['cut']}",
    ]
    for category, months in sorted(the["counts"].items()):
        report.stated.append(f"  {category}: {sum(months.values())}, stored in {min(months)} to {max(months)}")
    report.stated += [
        f"requested by {the['asked_by']} at {the['asked_at']}: {the['reason']}",
        f"approved by {the['approved_by']} at {the['approved_at']}, run by {the['run_by']}",
        *(
            f"the archive {each['archive']} holds leaves {each['first']} to {each['last'] - 1}, by its check of "
            f"{each['checked_at']}"
            for each in the.get("archives", ())
        ),
        *([f"no archive of it was needed: {the['without_archive']}"] if the.get("without_archive") else []),
        "that these records were due and held by nobody; the leaves are in the log as before",
    ]
    report.say()


# --- Purged leaves in bundles -----------------------------------------------------------------

PURGE_COMPLETED = "audit.purge.completed"
OWN_WRITER = "auditsite"


class Covered(NamedTuple):
    """What a certificate covers: the plan, and the ranges of leaves in order, by their ends."""

    plan: int
    firsts: list[int]
    lasts: list[int]


@dataclass
class Purges:
    """The certificates in a bundle, by the records that they are, and the leaves that were found to be under each."""

    certificates: dict[str, Covered] = field(default_factory=dict)
    leaves: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many leaves were found to be purged."""
        return sum(self.leaves.values())

    def leaf(self, index: int, line: dict[str, Any]) -> bytes:
        """The hash of a leaf that is said to be purged. Raises `Altered` where no certificate here covers it."""
        name = str(line["certificate"])
        covered = self.certificates.get(name)
        if covered is None:
            raise Altered(f"it is said to be purged under the certificate {name[:60]!r}, which is not in the bundle")
        place = bisect.bisect_right(covered.firsts, index)
        if not place or index >= covered.lasts[place - 1]:
            raise Altered(f"it is said to be purged under the certificate {name}, which does not cover it")
        hashed = unbase64(str(line["leaf_hash"]))
        if len(hashed) != 32:
            raise Altered("its hash is not 32 bytes long")
        self.leaves[name] = self.leaves.get(name, 0) + 1
        return hashed

    def end(self, manifest: dict[str, Any]) -> Iterator[str]:
        """Where the manifest names other counts."""
        if self.count != (named := manifest.get("purged", 0)):
            yield f"{self.count} leaves of the bundle are purged, the manifest names {str(named)[:60]}"

    def report(self, report: Report) -> None:
        """Say under which certificates leaves are purged."""
        for name, count in self.leaves.items():
            report.checked.append(
                f"{count} leaves have no record any more: purged ({self.certificates[name].plan}) under a certificate "
                f"that covers them, is signed, and is the record {name} of the log"
            )
        if self.leaves:
            report.stated.append("that the records that were purged were due and held by nobody")


def read_purges(bundle: Bundle, manifest: dict[str, Any], trust: Trust, keys: list[Key]) -> Purges:
    """The certificates of a bundle: each a record that is in the log, and signed. Raises as `read_certificate`."""
    purges = Purges()
    ranges = {purge["certificate"]: purge["ranges"] for purge in manifest["purges"]}
    with bundle.read_on(CERTIFICATES) as file:
        for line in file:
            value = _object(parse(line))
            record = _object(value["record"])
            name = str(record.get("event_id"))
            try:
                check_record(record, read_proof(str(value["proof"])), trust)
                if record.get("event_type") != PURGE_COMPLETED:
                    raise Altered(f"it is no record of the type {PURGE_COMPLETED}")
                if record["writer"] != OWN_WRITER:  # whoever may write can send an event of this type
                    raise Altered(f"it is a record of the writer {str(record['writer'])[:60]!r}, not of the store")
                certificate = read_certificate(str(record["event_data"]["note"]), keys)
                text = bundle.text(ranges[name]) if ranges.get(name) else None
                found = certified_ranges(certificate, text)
            except Altered as error:
                raise type(error)(f"the certificate {name[:60]}: {error}") from None
            if found is None:
                raise Altered(f"the certificate {name}: it names not all of its ranges, and they are not in the bundle")
            purges.certificates[name] = Covered(certificate["plan"], *([pair[end] for pair in found] for end in (0, 1)))
    return purges


def refuse_purged(log: Evidence, first: int, last: int) -> None:
    """Raise `Uncovered` where the record of one of these leaves was purged: nobody can ask a query of it again."""
    for volume in log.manifest["volumes"]:
        for index, _ in purged_rows(log.bundle, volume.get("purged")):
            if first <= index < last:
                raise Uncovered(f"the record of leaf {index} was purged: nothing shows whether it matched")


# --- Samples drawn again ----------------------------------------------------------------------


def verify_sample(options: argparse.Namespace) -> str:
    """Draw the sample of a query again, of a range of the log. Raises `Altered` and `Unusable`."""
    bundle, log = Bundle(options.evidence), Bundle(options.log)
    trust, receipt_keys = evidence_keys(bundle, options)
    sample, population = (Evidence(each, trust, receipt_keys) for each in (bundle, log))
    try:
        for evidence in (sample, population):
            if (fault := next(evidence.faults(), None)) is not None:
                say(f"{ALTERED}  {fault}")
                return ALTERED
        if sample.manifest["kind"] != "sample" or population.manifest["kind"] != "range":
            raise Unusable("give a bundle of a sample, and then one of a range of the log")
        drawn_again = draw_again(sample, population)
    except (Altered, Uncovered) as error:
        return refuse("", error)
    return end_evidence(sample, drawn_again)


def draw_again(sample: Evidence, log: Evidence) -> list[str]:
    """Look for the population in a range of the log, and draw from it; return the lines that say what that shows.

    Raises `Altered`, `Uncovered`.
    """
    manifest, drawn, checkpoint = sample.manifest, sample.manifest["sample"], sample.checkpoint
    terms, leaves = manifest["terms"], manifest["range"] or {"first": 0, "last": checkpoint.size}
    first, last = leaves["first"], leaves["last"]
    if manifest["sees"]:
        raise Uncovered("the one who asked may see a part of the records: of which it was drawn is not in the log")
    if log.manifest["range"]["first"] > first or log.manifest["range"]["last"] < last:
        raise Uncovered(f"the range has not all leaves from {first} to {last - 1}")
    same_log(log.bundle, log.manifest, checkpoint)
    refuse_purged(log, first, last)
    population = [index for index in leaves_that_match(log.bundle, log.manifest, terms, last) if index >= first]
    if len(population) != drawn["population"]:
        raise Altered(f"{len(population)} records match, and the sample is said to be of {drawn['population']}")
    if faults := list(other_sample(sample.volumes.places, draw(population, drawn), drawn)):
        raise Altered(faults[0])
    return [
        f"asked again of each record: {terms_text(terms)}",
        f"{len(population)} of the leaves {first} to {last - 1} match, and this is their sample",
    ]


# --- The command line -------------------------------------------------------------------------

# The first argument: what it verifies, and how.
COMMANDS = {
    "receipt": ("Verify a signed receipt.", verify_receipt),
    "evidence": ("Verify an evidence bundle.", verify_evidence),
    "sample": ("Draw a sample again.", verify_sample),
    "statement": ("Verify a signed statement.", verify_statement),
    "export": ("Verify the signed answer of GET export.", verify_extract),
    "crosslink": ("Verify the cross-links of a log that was restored.", verify_crosslink),
    "purge": ("Verify the certificate of a purge.", verify_purge),
}


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, whose errors show the usage of the command."""
    subparsers = argparse.ArgumentParser(prog="verify.py").add_subparsers()
    commands = {}
    for name, (description, verify) in COMMANDS.items():
        commands[name] = subparsers.add_parser(name, description=description)
        commands[name].set_defaults(verify=verify)
    command = commands["receipt"]
    command.add_argument("receipt", type=Path, help="the receipt, as the store answered it")
    add_receipt_keys(command, required=True)
    command.add_argument("--bundle", type=Path, help="records with their proofs: are the receipt's events in the log?")
    add_trust(command)
    command = commands["evidence"]
    command.add_argument("evidence", type=Path, help="the bundle: its zip, or the folder it was unpacked to")
    add_receipt_keys(command)
    command.add_argument(
        "--originals", action="append", default=[], type=Path, help="redacted records as they were, a JSON line each"
    )
    add_trust(command)
    command = commands["sample"]
    command.add_argument("evidence", type=Path, help="the bundle of the sample")
    command.add_argument("log", type=Path, help="a bundle of a range that has all leaves that it was drawn of")
    add_receipt_keys(command)
    add_trust(command)
    command = commands["statement"]
    command.add_argument("statement", type=Path, help="the statement, a signed note")
    add_receipt_keys(command, required=True)
    command.add_argument("--range", type=Path, help="an evidence bundle of the range of leaves that it is about")
    add_trust(command)
    command = commands["export"]
    command.add_argument("export", type=Path, help="the answer, JSON")
    add_receipt_keys(command, required=True)
    command = commands["crosslink"]
    command.add_argument("file", type=Path, help="the cross-links, signed notes one after the other")
    add_trust(command)
    command = commands["purge"]
    command.add_argument("certificate", type=Path, help="the certificate, a signed note")
    add_receipt_keys(command, required=True)
    command.add_argument("--ranges", type=Path, help="all ranges that were removed, a line FIRST LAST for each")
    command.add_argument("--leaf", type=int, action="append", default=[], help="was its record removed? (repeatable)")
    return commands


def add_receipt_keys(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--receipt-key",
        action="append",
        default=[],
        required=required,
        help="a public key of receipts (repeatable)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Arguments for the keys of the log and its witnesses."""
    parser.add_argument("--key", action="append", default=[], help="a public key of the log (repeatable)")
    parser.add_argument("--keys", action="append", default=[], type=Path, help="a file of them, one a line")
    parser.add_argument(
        "--crosslink",
        action="append",
        default=[],
        type=Path,
        help="cross-links of a restored log (repeatable)",
    )
    parser.add_argument("--witness", action="append", default=[], help="a public key of a witness (repeatable)")
    parser.add_argument("--quorum", type=int, help="how many witnesses must have cosigned; all of them by default")


def read_arguments(given: list[str]) -> argparse.Namespace:
    """A command with its arguments; without a command, records and their proofs."""
    if given and given[0] in COMMANDS:
        return command_parsers()[given[0]].parse_args(given[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(verify=verify_records)
    parser.add_argument("bundle", nargs="?", type=Path, help="records with their proofs, as the store hands them out")
    parser.add_argument("--record", type=Path, help="one record, JSON")
    parser.add_argument("--proof", type=Path, help="its proof")
    parser.add_argument("--records", type=Path, help="records, a JSON line each")
    parser.add_argument("--proofs", type=Path, help="the directory of EVENT_ID.tlog-proof files")
    add_trust(parser)
    options = parser.parse_args(given)
    ways = [bool(options.bundle), bool(options.record and options.proof), bool(options.records and options.proofs)]
    if sum(ways) != 1:
        parser.error("give a bundle, or --record with --proof, or --records with --proofs")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Verify, print, and return the exit status."""
    options = read_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        verdict = options.verify(options)
    except UnicodeDecodeError:
        say("cannot be used: it is not UTF-8", file=sys.stderr)
        return 2
    except (Unusable, Altered, OSError) as error:
        say(f"cannot be used: {error}", file=sys.stderr)
        return 2
    except BROKEN_ZIP:
        say("cannot be used: the zip of the bundle is damaged or cut off", file=sys.stderr)
        return 2
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        say(f"cannot be used: it lacks something that it should have: {error!r}", file=sys.stderr)
        return 2
    say(f"VERDICT: {verdict}")
    return EXIT[verdict]


if __name__ == "__main__":
    sys.exit(main())
