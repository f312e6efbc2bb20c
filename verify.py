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

What is checked, for each record:

1. The digest of the event is SHA-256(0x00 || event in RFC 8785 form), and the record says the same.
2. The log's entry (digest, id, times of receipt, parking, storage) is a leaf of an RFC 6962 Merkle tree: the proof
   leads from the leaf to the tree's root (RFC 9162, 2.1.3.2).
3. The root is in a checkpoint that the log's key has signed (C2SP signed-note, tlog-checkpoint), and as many witnesses
   as you ask for have cosigned.

Of a receipt: that a key of receipts signed it, and, with a bundle, that each of its events is in the log as promised.

Of an evidence bundle: that a key of receipts signed its manifest, that each file is the one that the manifest names,
that its records together lead to the signed root, and, of a range, that no record in it was left out.

What it cannot show of anything but a range: that there are no other records. For that, verify the store itself, or
ask its witnesses.

Where a bundle is redacted, the place, the id, the digest and the times of each record are proved all the same, and
nothing else of those that are redacted, unless they are given whole with --originals.

Exit status: 0 VERIFIED, or SIGNED for a receipt without a bundle, 1 ALTERED or FORKED, 2 the input or the arguments
cannot be used, 3 NOT COVERED, 4 REDACTED: all holds, but what is left of redacted records was not shown.
"""

import argparse
import base64
import binascii
import csv
import hashlib
import heapq
import io
import json
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

VERIFIED, ALTERED, FORKED, NOT_COVERED = "VERIFIED", "ALTERED", "FORKED", "NOT COVERED"
SIGNED, REDACTED = "SIGNED", "REDACTED"
EXIT = {VERIFIED: 0, SIGNED: 0, ALTERED: 1, FORKED: 1, NOT_COVERED: 3, REDACTED: 4}
ED25519, COSIGNATURE = 1, 4
STORE_MEMBERS = ("state", "digest", "received_at", "parked_at", "stored_at")
LARGEST_INTEGER = 2**53 - 1
SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z", re.ASCII)


class Unusable(Exception):
    """The input is not what it should be: nothing can be said about it."""


class Altered(Exception):
    """Something does not fit what was signed."""


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
    """Whether Python's own writer gives the canonical form: names in ASCII, whose order is the same, and no floats."""
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
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


# --- RFC 6962 and 9162: the tree --------------------------------------------------------------


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """Raise `Altered` unless the proof leads from the leaf to the root. Sides follow from index and size alone."""
    if not 0 <= index < size or any(len(found) != 32 for found in (leaf, root, *proof)):
        raise Altered("the proof names a leaf that the tree does not have, or a hash is not 32 bytes long")
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Altered("the proof is too long")
        if place & 1 or place == last:
            found = node(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, sibling)
        place, last = place >> 1, last >> 1
    if last or found != root:
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
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(f"{text[:60]!r} is not base64") from None
    if base64.b64encode(found).decode() != text:
        raise Unusable(f"{text[:60]!r} is not the one base64 of its bytes")
    return found


class Checkpoint(NamedTuple):
    """A signed tree head, checked."""

    size: int
    root: bytes
    signed_at: int | None
    witnessed: dict[str, int]


def read_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text and its signature lines: name, key id, signature."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note):
        raise Unusable("a checkpoint is text, a blank line, and signature lines")
    found = []
    for line in lines[:-1].split("\n"):
        dash, name, encoded = (*line.split(" "), "", "")[:3]
        blob = unbase64(encoded)
        if dash != "—" or not name or line.count(" ") != 2 or len(blob) < 5:
            raise Unusable(f"{line[:60]!r} is not a signature line")
        found.append((name, blob[:4], blob[4:]))
    return text + "\n", found


@dataclass
class Trust:
    """Whose signatures count."""

    keys: list[Key]
    witnesses: list[Key] = field(default_factory=list)
    quorum: int = 0
    pinned: bool = True
    seen: dict[str, Checkpoint] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)

    def checkpoint(self, note: str) -> Checkpoint:
        """Check a signed note, each only once. Raises `Altered`, `Unusable`; `Forked` is an `Altered`."""
        if note not in self.seen:
            self.seen[note] = self._check(note)
        return self.seen[note]

    def _check(self, note: str) -> Checkpoint:
        text, signatures = read_note(note)
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not SIZE.match(lines[1]):
            raise Unusable("a checkpoint has at least three lines: origin, size, root")
        if lines[0] != self.keys[0].name:
            raise Unusable(f"the checkpoint is of the log {lines[0]!r}, the key of {self.keys[0].name!r}")
        signed, moments, witnessed = self._signatures(text, signatures)
        if not signed:
            raise Altered(f"no key of the log {lines[0]} that you trust has signed the checkpoint")
        size, root = int(lines[1]), unbase64(lines[2])
        if self.roots.setdefault(size, root) != root:
            raise Forked(f"the log has signed two different trees of {size} records")
        return Checkpoint(size, root, max(moments, default=None), witnessed)

    def _signatures(
        self, text: str, signatures: list[tuple[str, bytes, bytes]]
    ) -> tuple[bool, list[int], dict[str, int]]:
        signed, moments, witnessed = False, [], {}
        plain = {(key.name, key.id): key for key in self.keys}
        timed = {(key.name, key.id): key for key in (Key(one.name, COSIGNATURE, one.public) for one in self.keys)}
        others = {(key.name, key.id): key for key in self.witnesses}
        for name, identifier, blob in signatures:
            if key := plain.get((name, identifier)):
                key.check(text, blob)
                signed = True
            elif key := timed.get((name, identifier)):
                moments.append(key.check(text, blob) or 0)
            elif key := others.get((name, identifier)):
                witnessed[name] = key.check(text, blob) or 0
            else:
                self.strangers.add(name)
        return signed, moments, witnessed


class Forked(Altered):
    """The log told two stories."""


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
    event = {name: value for name, value in record.items() if name not in STORE_MEMBERS}
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


def check_record(record: dict[str, Any], proof: Proof, trust: Trust) -> Checkpoint:
    """Check one record. Raises `Altered`, `Uncovered`, `Unusable`."""
    checkpoint = trust.checkpoint(proof.note)
    check_inclusion(leaf_of(record), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    if len(checkpoint.witnessed) < trust.quorum:
        raise Uncovered(f"{len(checkpoint.witnessed)} of the {trust.quorum} witnesses that you ask for have cosigned")
    return checkpoint


# --- What is read -----------------------------------------------------------------------------

Item = tuple[dict[str, Any], str | None]
"""A record, and the text of its proof where there is one."""


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
    """What came out so far."""

    records: int = 0
    verdict: str = NOT_COVERED
    newest: Checkpoint | None = None

    def worsen(self, verdict: str) -> None:
        """A failure dominates."""
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
            found = check_record(record, read_proof(text), trust)
            if result.newest is None or found.size > result.newest.size:
                result.newest = found
        except Altered as error:
            result.worsen(FORKED if isinstance(error, Forked) else ALTERED)
            print(f"{FORKED if isinstance(error, Forked) else ALTERED}  {name}: {error}")
        except Uncovered as error:
            result.worsen(NOT_COVERED)
            print(f"{NOT_COVERED}  {name}: {error}")
        if sys.stderr.isatty() and result.records % 100 == 0:
            print(f"\r{result.records} records", end="", file=sys.stderr)
    if not result.records:
        result.verdict = NOT_COVERED
    return result


def report(result: Result, trust: Trust) -> None:
    """Print what was checked, with what, and what was not."""
    print(f"{result.records} records checked against the log {trust.keys[0].name}")
    if result.newest is not None:
        print(f"newest checkpoint: {result.newest.size} records{_when(result.newest.signed_at)}, by the log itself")
        for name, moment in result.newest.witnessed.items():
            print(f"cosigned by {name}{_when(moment)}")
    for key in trust.keys:
        print(f"key ({'pinned' if trust.pinned else 'FIRST USE: it came with the bundle'}): {key}")
    for name in sorted(trust.strangers):
        print(f"not checked: the signature of {name}, whose key was not given")
    print("not shown: that there are no other records; these are in the log, and as they were sealed")


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
    if len({key.name for key in keys}) > 1:
        raise Unusable("the keys are of several logs: check one log at a time")
    witnesses = [read_key(text, (COSIGNATURE,)) for text in arguments.witness]
    quorum = len(witnesses) if arguments.quorum is None else arguments.quorum
    if not 0 <= quorum <= len(witnesses):
        raise Unusable(f"--quorum {quorum}: only {len(witnesses)} witnesses are given")
    if arguments.bundle:
        origin, claimed = bundle_header(arguments.bundle)
        if keys and keys[0].name != origin:
            raise Unusable(f"the bundle is of the log {origin!r}, your key of {keys[0].name!r}")
        return Trust(keys or claimed, witnesses, quorum, pinned=bool(keys))
    if not keys:
        raise Unusable("give the log's public key with --key or --keys")
    return Trust(keys, witnesses, quorum)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Whose signatures count."""
    parser.add_argument("--key", action="append", default=[], help="a public key of the log (repeatable)")
    parser.add_argument("--keys", action="append", default=[], type=Path, help="a file of them, one a line")
    parser.add_argument("--witness", action="append", default=[], help="a public key of a witness (repeatable)")
    parser.add_argument("--quorum", type=int, help="how many witnesses must have cosigned; all of them by default")


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, help="records with their proofs, as the store hands them out")
    parser.add_argument("--record", type=Path, help="one record, JSON")
    parser.add_argument("--proof", type=Path, help="its proof")
    parser.add_argument("--records", type=Path, help="records, a JSON line each")
    parser.add_argument("--proofs", type=Path, help="the directory of EVENT_ID.tlog-proof files")
    add_trust(parser)
    found = parser.parse_args(arguments)
    ways = [bool(found.bundle), bool(found.record and found.proof), bool(found.records and found.proofs)]
    if sum(ways) != 1:
        parser.error("give a bundle, or --record with --proof, or --records with --proofs")
    return found


# --- Receipts ---------------------------------------------------------------------------------

RECEIPT = "auditsite/receipt/v1"
RECEIPT_MEMBERS = ("origin", "writer", "state", "promised", "sealed-by")
RECEIPT_EVENT = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) ([0-9a-f]{64})\Z", re.ASCII)


class Receipt(NamedTuple):
    """What a receipt says, and the digest of each of its events."""

    members: dict[str, str]
    events: dict[str, str]


def read_receipt(note: str, keys: list[Key]) -> Receipt:
    """A receipt that one of the keys has signed. Raises `Altered`, `Unusable`."""
    text, signatures = read_note(note)
    header, *lines = text[:-1].split("\n")
    members = dict(line.partition(" ")[::2] for line in lines[: len(RECEIPT_MEMBERS)])
    matches = [RECEIPT_EVENT.match(line) for line in lines[len(RECEIPT_MEMBERS) :]]
    if header != RECEIPT or tuple(members) != RECEIPT_MEMBERS or not matches or not all(matches):
        raise Unusable(f"this is no receipt: {RECEIPT}, then {', '.join(RECEIPT_MEMBERS)}, then its events")
    known = {(key.name, key.id): key for key in keys if key.name == f"{members['origin']}/receipts"}
    ours = [(known[name, identifier], blob) for name, identifier, blob in signatures if (name, identifier) in known]
    if not ours:
        raise Altered(f"no key of receipts of the log {members['origin']} that you trust has signed this")
    for key, blob in ours:
        key.check(text, blob)
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
    found = {record["event_id"]: record["digest"] for record, _ in items}
    for event_id, digest in receipt.events.items():
        if event_id not in found:
            result.worsen(NOT_COVERED)
            print(f"{NOT_COVERED}  {event_id}: it is not in the bundle")
        elif found[event_id] != digest:
            result.worsen(ALTERED)
            print(f"{ALTERED}  {event_id}: it is not what the receipt promised, whose digest is {digest}")
    return result


def report_receipt(receipt: Receipt, keys: list[Key]) -> None:
    """Print what the receipt says."""
    print(f"receipt of {len(receipt.events)} events, signed by a key that you gave:")
    for name, value in receipt.members.items():
        print(f"  {name} {value}")
    for key in keys:
        print(f"key (pinned): {key}")


def read_receipt_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line of `receipt`."""
    parser = argparse.ArgumentParser(prog="verify.py receipt", description="Verify a signed receipt.")
    parser.add_argument("receipt", type=Path, help="the receipt, as the store answered it")
    parser.add_argument("--receipt-key", action="append", required=True, help="a public key of receipts (repeatable)")
    parser.add_argument("--bundle", type=Path, help="records with their proofs: are the receipt's events in the log?")
    add_trust(parser)
    return parser.parse_args(arguments)


def verify_receipt(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    keys = [read_key(text, (ED25519,)) for text in options.receipt_key]
    try:
        receipt = read_receipt(options.receipt.read_bytes().decode("utf-8"), keys)
    except Altered as error:
        print(f"{ALTERED}  the receipt: {error}")
        return ALTERED
    if options.bundle is None:
        report_receipt(receipt, keys)
        print("not shown: that the events are in the log; give a bundle of them with --bundle")
        return SIGNED
    trust = trust_of(options)
    result = check_receipt(receipt, options.bundle, trust)
    report_receipt(receipt, keys)
    report(result, trust)
    return verdict_of(result, trust)


# --- Evidence bundles -------------------------------------------------------------------------

EVIDENCE = "auditsite/evidence/v1"
BETWEEN = "auditsite/between/v1"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SIGNED_FILES = {"manifest.json", "manifest.txt"}
MOST_BYTES = 64 * 1024 * 1024
ROOM = 1024 * 1024
"""So many bytes more than the manifest names are still read, to say what is wrong with them; a bomb has more."""
BROKEN_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
"""What comes of a zip that is damaged, encrypted, or packed in a way that Python does not know."""


class Bundle:
    """The files of an evidence bundle, in its zip or unpacked."""

    def __init__(self, path: Path):
        self._folder = path
        try:
            self._zip = None if path.is_dir() else zipfile.ZipFile(path)
        except ValueError as error:
            raise zipfile.BadZipFile(str(error)) from None
        if self._zip is not None:
            found = [one.filename for one in self._zip.infolist() if not one.is_dir()]
        else:
            found = [one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()]
        self.names = set(found)
        if len(self.names) != len(found):
            raise Unusable("two files of the bundle have one name")

    def open(self, name: str) -> IO[bytes]:
        if name not in self.names:
            raise Altered(f"{name} is missing")
        return (self._folder / name).open("rb") if self._zip is None else self._zip.open(name)

    def size(self, name: str) -> int:
        return (self._folder / name).stat().st_size if self._zip is None else self._zip.getinfo(name).file_size

    def text(self, name: str) -> str:
        with self.open(name) as file:
            found = file.read(MOST_BYTES)
        return found.decode("utf-8")

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self.open(name) as file:
            while part := file.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()


def read_manifest(bundle: Bundle, keys: list[Key]) -> dict[str, Any]:
    """The manifest, signed by a key that is trusted. Raises `Altered` and `Unusable`."""
    text, signatures = read_note(bundle.text("manifest.txt"))
    header, origin, _, digest = (*text.split("\n"), "", "", "")[:4]
    if header != EVIDENCE or text.count("\n") != 4:
        raise Unusable(f"manifest.txt is not the signature of a manifest: {EVIDENCE}, origin, id, SHA-256")
    known = {(key.name, key.id): key for key in keys if key.name == f"{origin}/receipts"}
    ours = [(known[name, identifier], blob) for name, identifier, blob in signatures if (name, identifier) in known]
    if not ours:
        raise Altered(f"the manifest is signed with a foreign key: by none of the log {origin} that you trust")
    for key, blob in ours:
        key.check(text, blob)
    if bundle.sha256("manifest.json") != digest:
        raise Altered("manifest.json is not the manifest that was signed: it was changed or swapped")
    manifest = parse(bundle.text("manifest.json").encode())
    if not isinstance(manifest, dict) or (manifest.get("evidence"), f"{manifest.get('id')}") != (
        EVIDENCE,
        text.split("\n")[2],
    ):
        raise Altered("manifest.json is of another bundle than its signature")
    if manifest["log"]["origin"] != origin:
        raise Altered("the manifest is of another log than its signature")
    if manifest["kind"] not in KINDS:
        raise Unusable(f"a bundle is of a query, a range or a sample, not {str(manifest['kind'])[:60]!r}")
    return manifest


def check_files(bundle: Bundle, manifest: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the files: each must be the one that the manifest names, and there must be no others."""
    named = manifest["files"]
    for name in sorted(bundle.names - named.keys() - SIGNED_FILES):
        yield f"{name} is in the bundle, and the manifest does not name it"
    for name, facts in sorted(named.items()):
        if name not in bundle.names:
            yield f"{name} is missing: the manifest names it"
            continue
        if bundle.size(name) > facts["bytes"] + ROOM:
            raise Altered(f"{name} has {bundle.size(name)} bytes, the manifest names {facts['bytes']}: it is not read")
        try:
            same = bundle.sha256(name) == facts["sha256"]
        except BROKEN_ZIP:
            same = False
        if not same:
            yield f"{name} was changed: its SHA-256 is not the one that the manifest names"


class Tree:
    """A tree of which some leaves are shown, and all that lies between them is given as hashes of subtrees."""

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
        found = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            found = node(left, found)
        return found

    def _fill(self, end: int) -> None:
        while self.place < end:
            width = 1 << ((end - self.place).bit_length() - 1)
            if self.place:
                width = min(width, self.place & -self.place)
            if (found := next(self._hashes, None)) is None:
                raise Altered("the proof is cut off: hashes are missing at its end")
            self._append(found, width)

    def _append(self, subtree: bytes, width: int) -> None:
        found, waiting = subtree, self.place // width
        while waiting & 1:
            found, waiting = node(self._roots.pop(), found), waiting >> 1
        self._roots.append(found)
        self.place += width


def proof_hashes(bundle: Bundle, name: str) -> Iterator[bytes]:
    """The hashes of a volume's proof, streaming. Raises `Altered`."""
    with bundle.open(name) as file:
        if file.readline() != f"{BETWEEN}\n".encode():
            raise Altered(f"{name} does not start with {BETWEEN}")
        for line in file:
            found = line.decode("ascii", "replace").removesuffix("\n")
            if len(found) != 44 or not line.endswith(b"\n"):
                raise Altered(f"{name} is cut off, or a hash in it is not 32 bytes long")
            yield unbase64(found)


def evidence_rows(bundle: Bundle, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The place and the record of each line of a volume; members without a value say nothing."""
    with bundle.open(name) as file:
        for line in file:
            record = _object(parse(line))
            index = record.pop("leaf_index", None)
            if not isinstance(index, int) or isinstance(index, bool):
                raise Altered(f"a record of {name} does not name its leaf")
            yield index, {key: value for key, value in record.items() if value is not None or key in STORE_MEMBERS}


EDGES = ("first_leaf", "last_leaf", "first_event", "last_event")
KINDS = ("query", "range", "sample")


@dataclass
class Span:
    """The first and the last leaf of some records, and the first and the last time of their events."""

    leaves: list[int] = field(default_factory=list)
    times: list[str] = field(default_factory=list)

    def add(self, index: int, time: str) -> None:
        self.leaves = [self.leaves[0] if self.leaves else index, index]
        self.times = [min([*self.times[:1], time]), max([*self.times[1:], time])]

    def take(self, other: "Span") -> None:
        for index, time in zip(other.leaves, other.times, strict=True):
            self.add(index, time)

    def faults(self, name: str, said: dict[str, Any], members: tuple[str, ...]) -> Iterator[str]:
        """What the manifest says otherwise."""
        for member, found in zip(members, [*self.leaves, *self.times], strict=False):
            if said[member] != found:
                yield f"{member} of {name} is {found}, the manifest names {str(said[member])[:60]}"


@dataclass
class Volumes:
    """Checks the volumes one after the other: their places go on where those before ended."""

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

    def check(self, volume: dict[str, Any]) -> Iterator[str]:
        """What is wrong with one volume."""
        name, count, self.span = volume["records"], self.records, Span()
        tree = Tree(self.checkpoint.size, proof_hashes(self.bundle, volume["proof"]))
        why = ""
        for index, record in evidence_rows(self.bundle, name):
            self.records += 1
            self.span.add(index, str(record.get("event_timestamp")))
            yield from self._place(name, index)
            self.received += received_within(record, self.manifest.get("received"))
            try:
                named = record.pop("redacted", None)
                leaf = leaf_of(record) if named is None else self.redactions.leaf(record, named)
                self._content(record, named)
                if not why:
                    tree.add(index, leaf)
            except Altered as error:
                why = f"{name}, record {str(record.get('event_id'))[:80]} of leaf {index}: {error}"
                yield why
            _tell(self.records)
        if self.records - count != volume["count"]:
            yield f"{name} has {self.records - count} records, the manifest names {volume['count']}"
        yield from self.span.faults(name, volume, ("first", "last", "since", "until"))
        self.whole.take(self.span)
        yield from () if why else self._root(name, tree)

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
        """What is wrong with the whole."""
        yield from self.whole.faults("the bundle", self.manifest, EDGES)
        if self.records != self.manifest["records"]:
            yield f"the bundle has {self.records} records, the manifest names {self.manifest['records']}"
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
        said, leaves = self.manifest["sample"], self.manifest["range"]
        if (wanted := min(said["size"], said["population"])) != self.records:
            yield f"the sample has {self.records} records, {wanted} are drawn of {said['population']}"
        if leaves is None:
            return
        if said["population"] != leaves["last"] - leaves["first"]:
            yield f"the range has {leaves['last'] - leaves['first']} leaves, the manifest names {said['population']}"
        yield from other_sample(self.places, draw(range(leaves["first"], leaves["last"]), said), said)


def received_within(record: dict[str, Any], window: dict[str, Any] | None) -> bool:
    """Whether the record was received in the window of time that was asked for; its proof covers that time."""
    return window is not None and window["since"] <= record["received_at"] < window["until"]


# --- Samples, and queries asked again ----------------------------------------------------------

SAMPLE = "auditsite/sample/v1"
NOTHING = object()


def draw(leaves: Iterable[int], said: dict[str, Any]) -> list[int]:
    """The leaves with the least ranks: SHA-256 of the header, the seed and the leaf, a line each."""

    def rank(index: int) -> bytes:
        return hashlib.sha256(f"{SAMPLE}\n{said['seed']}\n{index}\n".encode()).digest()

    return sorted(heapq.nsmallest(said["size"], leaves, key=rank))


def other_sample(found: list[int], drawn: list[int], said: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a sample: it must be the one that the seed draws."""
    for index in sorted(set(drawn) - set(found))[:MOST_TOLD]:
        yield f"the seed {said['seed']!r} draws leaf {index}, which is not in the sample"
    for index in sorted(set(found) - set(drawn))[:MOST_TOLD]:
        yield f"leaf {index} is in the sample, and the seed {said['seed']!r} does not draw it"


def matches(record: dict[str, Any], terms: list[dict[str, Any]]) -> bool:
    """Whether a record matches a query: all of its terms hold."""
    return all(holds(record, term) != bool(term.get("negated", False)) for term in terms)


def holds(record: dict[str, Any], term: dict[str, Any]) -> bool:
    """Whether the record has one of the values, or its time lies within the bounds."""
    value: Any = record.get(term["field"], NOTHING)
    if "equals" not in term:
        return not (value < term.get("from", "") or value >= term.get("before", "~") or value > term.get("until", "~"))
    for key in term.get("path", ()):
        value = value.get(key, NOTHING) if isinstance(value, dict) else NOTHING
    if isinstance(value, str) and value.startswith(tuple(term["begins"])):
        return True
    return any(same(value, wanted) for wanted in term["equals"])


def same(value: Any, wanted: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and neither is true."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def in_words(terms: list[dict[str, Any]]) -> str:
    """The terms as they are asked of each record."""
    return json.dumps(terms, ensure_ascii=True, sort_keys=True)


def leaves_that_match(
    bundle: Bundle, manifest: dict[str, Any], terms: list[dict[str, Any]], size: int
) -> dict[int, str]:
    """The leaves below `size` of a bundle of a range whose records match, with the ids of these.

    Raises `Uncovered` for redacted ones.
    """
    found = {}
    for volume in manifest["volumes"]:
        for index, record in evidence_rows(bundle, volume["records"]):
            if "redacted" in record:
                raise Uncovered(f"the record of leaf {index} is redacted: give a bundle without redaction")
            if index < size and matches(record, terms):
                found[index] = str(record.get("event_id"))
    return found


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
    tree = Tree(checkpoint.size, iter(()))
    for volume in manifest["volumes"]:
        for index, record in evidence_rows(bundle, volume["records"]):
            if index < checkpoint.size:
                record.pop("redacted", None)
                tree.add(index, entry_leaf(record))
    if tree.root() != checkpoint.root:
        raise Forked("the two bundles are of two different logs: their records do not lead to both signed roots")


# --- Redaction --------------------------------------------------------------------------------

PATH_PART = re.compile(r'(\*\*?|[^\s."*\\]+|"(?:[^"\\]|\\.)*")(?:\.|\Z)')
NEVER_REDACTED = ("event_id", "event_timestamp", "version", "event_type", "event_category", "event_action")
NEVER_REDACTED += ("event_outcome", "writer", "leaf_index", *STORE_MEMBERS)
LEFT = {
    "remove": re.compile(r"\Z"),
    "digest": re.compile(r"hmac-sha256:[0-9a-f]{64}\Z"),
    "mask": re.compile(r"(?:[0-9]{1,3}\.|.?)\*\*\*(?:@.?\*\*\*)?\Z", re.DOTALL),
}
"""What each method leaves of a value."""


@dataclass
class Redactions:
    """Which members of which records are redacted: each by a rule that the manifest names, and as the rule says."""

    rules: dict[str, dict[str, Any]]
    originals: dict[str, dict[str, Any]]
    records: int = 0
    opened: int = 0
    members: dict[str, int] = field(default_factory=dict)

    def leaf(self, record: dict[str, Any], named: Any) -> bytes:
        """The leaf hash of a record that is redacted. Raises `Altered` where it is more than the manifest says."""
        if not isinstance(named, dict) or not named:
            raise Altered("its member redacted does not name what is redacted")
        self.records += 1
        for path, rule in named.items():
            self._check(record, path, self.rules.get(rule), rule)
            self.members[rule] = self.members.get(rule, 0) + 1
        if (whole := self.originals.get(str(record.get("event_id")))) is not None:
            self._open(record, whole, list(named))
        return entry_leaf(record)

    def end(self, manifest: dict[str, Any]) -> Iterator[str]:
        """What the manifest counts otherwise."""
        said = manifest.get("redaction") or {"records": 0, "rules": []}
        if self.records != said["records"]:
            yield f"{self.records} records are redacted, the manifest names {said['records']}"
        for rule in said["rules"]:
            if (found := self.members.get(rule["name"], 0)) != rule["members"]:
                yield f"{found} members are redacted by {rule['name']}, the manifest names {rule['members']}"

    def _check(self, record: dict[str, Any], path: str, rule: dict[str, Any] | None, name: Any) -> None:
        if rule is None:
            raise Altered(f"{path} is redacted by {str(name)[:60]!r}, a rule that the manifest does not name")
        parts = path_parts(path)
        kind, wanted = str(record.get("event_type")), rule["event_type"]
        of_type = kind.startswith(wanted[:-1]) if wanted.endswith(".*") else wanted in ("", kind)
        if parts[0] in NEVER_REDACTED or not of_type or not fits(parts, path_parts(rule["path"])):
            raise Altered(f"{path} is redacted by {name}, a rule that does not ask for it")
        value = member_at(record, parts)
        if not LEFT[rule["method"]].match("" if value is None else value if isinstance(value, str) else "?"):
            raise Altered(f"{path} is redacted by {name}, and is not what the method {rule['method']} leaves")

    def _open(self, record: dict[str, Any], whole: dict[str, Any], paths: list[str]) -> None:
        """Compare with the record as it was: it has this digest, and differs in what is redacted alone."""
        if hashlib.sha256(b"\x00" + canonical(whole)).hexdigest() != record["digest"]:
            raise Altered("the original that was given is not this record: its digest is another")
        left = {name: value for name, value in record.items() if name not in STORE_MEMBERS}
        for path in paths:
            left, whole = without(left, path_parts(path)), without(whole, path_parts(path))
        if canonical(left) != canonical(whole):
            raise Altered("under cover of redaction its content was changed: the original says something else")
        self.opened += 1


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


def read_originals(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Records as they were, by id: of files of JSON lines, as a bundle has them that is not redacted."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                record = _object(parse(line))
                record = _object(record.get("record", record))
                kept = {name: value for name, value in record.items() if value is not None}
                event = {name: value for name, value in kept.items() if name not in (*STORE_MEMBERS, "leaf_index")}
                found[str(record.get("event_id"))] = {name: event[name] for name in event if name != "redacted"}
    return found


# --- The rest of a bundle ---------------------------------------------------------------------


def check_csv(bundle: Bundle, name: str, records: str) -> Iterator[str]:
    """A CSV must say what the JSON lines beside it say, which are proved."""
    csv.field_size_limit(MOST_BYTES)
    with bundle.open(name) as table, bundle.open(records) as file:
        rows = csv.reader(io.TextIOWrapper(table, "utf-8", newline=""))
        heads = next(rows, [])
        for line in file:
            values = _object(parse(line))
            if heads != list(values) or next(rows, None) != [cell(value) for value in values.values()]:
                yield f"{name} does not say what {records} says, at leaf {values.get('leaf_index')}"
                return
        if next(rows, None) is not None:
            yield f"{name} has more lines than {records}"


def cell(value: Any) -> str:
    """A value as the text of a cell, with an apostrophe before what a spreadsheet would take for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(value, int | float) else text


def evidence_checkpoint(bundle: Bundle, manifest: dict[str, Any], trust: Trust) -> Checkpoint:
    """The checkpoint of the bundle, which must be the manifest's. Raises `Altered`, `Unusable`."""
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


CLOCK_SLACK_S = 2
"""The second in which a checkpoint was signed, and the time that the store notes of it."""


def seconds(text: str) -> float:
    """A time as the store writes it, in seconds. Raises `Unusable`."""
    if not TIME.match(text):
        raise Unusable(f"{text[:60]!r} is not a time like 2026-08-18T10:00:00.000000Z")
    return datetime.fromisoformat(text).timestamp()


def faults(bundle: Bundle, trust: Trust, receipt_keys: list[Key], seen: dict[str, Any]) -> Iterator[str]:
    """All that is wrong with a bundle, in words; what was read goes into `seen`."""
    try:
        manifest = seen["manifest"] = read_manifest(bundle, receipt_keys)
        yield from check_files(bundle, manifest)
        checkpoint = seen["checkpoint"] = evidence_checkpoint(bundle, manifest, trust)
        rules = {rule["name"]: rule for rule in (manifest.get("redaction") or {"rules": []})["rules"]}
        redactions = Redactions(rules, seen.get("originals", {}))
        volumes = seen["volumes"] = Volumes(bundle, manifest, checkpoint, redactions=redactions)
        for volume in manifest["volumes"]:
            yield from volumes.check(volume)
            if "csv" in volume:
                yield from check_csv(bundle, volume["csv"], volume["records"])
        yield from volumes.end()
    except (Altered, Unusable) as error:
        yield str(error)
    except (*BROKEN_ZIP, csv.Error, UnicodeDecodeError) as error:
        yield f"a file of the bundle was changed: {error}"


def evidence_keys(bundle: Bundle, options: argparse.Namespace) -> tuple[Trust, list[Key]]:
    """The keys that count: those given, else those that came with the bundle."""
    lines = [line for line in bundle.text("keys.txt").splitlines() if line.strip() and not line.startswith("#")]
    claimed = [read_key(line, (ED25519,)) for line in lines]
    receipts = [read_key(text, (ED25519,)) for text in options.receipt_key]
    pinned = bool(options.key or options.keys) and bool(receipts)
    if not (options.key or options.keys):
        options.key = [str(key) for key in claimed if not key.name.endswith("/receipts")]
    options.bundle = None
    trust = trust_of(options)
    trust.pinned = pinned
    return trust, receipts or [key for key in claimed if key.name.endswith("/receipts")]


def report_evidence(seen: dict[str, Any], trust: Trust, receipt_keys: list[Key]) -> None:
    """Print what the bundle is of, what its proof shows, and what is only said."""
    manifest, checkpoint, volumes = seen["manifest"], seen["checkpoint"], seen["volumes"]
    what = "a range of the log" if manifest.get("range") else manifest["query"] or "everything"
    print(f"evidence {manifest['id']} of {manifest['system']}: {what}")
    print(f"asked for by {manifest['requested_by']} at {manifest['requested_at']}, as of {manifest['as_of']}")
    print(f"{volumes.records} records checked against the log {trust.keys[0].name}")
    print(f"checkpoint: {checkpoint.size} records{_when(checkpoint.signed_at)}, by the log itself")
    for name, moment in checkpoint.witnessed.items():
        print(f"cosigned by {name}{_when(moment)}")
    for key in (*trust.keys, *receipt_keys):
        print(f"key ({'pinned' if trust.pinned else 'FIRST USE: it came with the bundle'}): {key}")
    if manifest["kind"] == "sample":
        report_sample(manifest)
    elif manifest["kind"] == "range":
        first, last = manifest["range"]["first"], manifest["range"]["last"]
        print(f"shown: these are all leaves from {first} to {last - 1}: no record of the range is left out")
        if window := manifest.get("received"):
            print(
                f"shown: {window['records']} of them were received from {window['since']} to before {window['until']}"
            )
            print("said by the operator, not shown: that no record outside the range was")
    else:
        print("shown: each record is in the log, and as it was sealed")
        print("said by the operator, not shown: that no other record matches the query")
    report_redactions(manifest, volumes.redactions)
    print("said by the operator, not shown: statement.json, of what waits in the queue and what never came")


def report_sample(manifest: dict[str, Any]) -> None:
    """Print of what the sample was drawn, and whether that is shown."""
    said, leaves = manifest["sample"], manifest["range"]
    print("shown: each record is in the log, and as it was sealed")
    print(f"a sample of {said['size']} of {said['population']}, drawn with the seed {said['seed']!r}")
    if leaves is not None:
        print(f"shown: these are what the seed draws of the leaves {leaves['first']} to {leaves['last'] - 1}")
    else:
        print("said by the operator, not shown: of which leaves it was drawn; give all of them: verify.py sample")


def report_redactions(manifest: dict[str, Any], redactions: Redactions) -> None:
    """Print what was redacted and by which rule, and what is left to be believed."""
    for rule in (manifest.get("redaction") or {"rules": []})["rules"]:
        kind = f" of {rule['event_type']}" if rule["event_type"] else ""
        print(f"redacted by {rule['name']} ({rule['method']}): {rule['members']} members {rule['path']}{kind}")
        print(f"  because: {rule['reason']}")
    if redactions.opened:
        print(f"shown: {redactions.opened} redacted records say what their originals say, but for what is redacted")
    if closed := redactions.records - redactions.opened:
        print(f"{closed} records have redacted members: what remains of their content is what the operator says,")
        print("their place, digest and times are proved; give them whole with --originals to check the rest")


def verify_evidence(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    bundle = Bundle(options.evidence)
    trust, receipt_keys = evidence_keys(bundle, options)
    seen: dict[str, Any] = {"originals": read_originals(options.originals)}
    found = 0
    try:
        for fault in faults(bundle, trust, receipt_keys, seen):
            found += 1
            if found <= MOST_TOLD:
                print(f"{ALTERED}  {fault}")
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"a file of the bundle lacks something that it should have: {error}") from None
    if found:
        print(f"{found} faults" if found > 1 else "one fault")
        return ALTERED
    report_evidence(seen, trust, receipt_keys)
    return evidence_verdict(seen, trust)


def evidence_verdict(seen: dict[str, Any], trust: Trust) -> str:
    """The verdict on a bundle in which nothing is wrong."""
    if len(seen["checkpoint"].witnessed) < trust.quorum:
        print(f"{NOT_COVERED}  fewer than the {trust.quorum} witnesses that you ask for have cosigned")
        return NOT_COVERED
    if not seen["volumes"].records:
        print("the bundle holds no record: that none matches is said, not shown")
        return NOT_COVERED
    verdict, redactions = verdict_of(Result(verdict=VERIFIED), trust), seen["volumes"].redactions
    return REDACTED if verdict == VERIFIED and redactions.opened < redactions.records else verdict


STATEMENT = "auditsite/statement/v1"


def signed_line(note: str, header: str, keys: list[Key], otherwise: str) -> str:
    """The third line of a note (header, origin, line), signed by a key of receipts that is trusted.

    Raises `Unusable` with the words `otherwise` where it is not such a note, and `Altered`.
    """
    text, signatures = read_note(note)
    found, origin, line, end = (*text.split("\n"), "", "", "")[:4]
    if found != header or end or text.count("\n") != 3:
        raise Unusable(otherwise)
    known = {(key.name, key.id): key for key in keys if key.name == f"{origin}/receipts"}
    ours = [(known[name, identifier], blob) for name, identifier, blob in signatures if (name, identifier) in known]
    if not ours:
        raise Altered(f"no key of receipts of the log {origin} that you trust has signed this")
    for key, blob in ours:
        key.check(text, blob)
    return line


def read_statement(note: str, keys: list[Key]) -> dict[str, Any]:
    """What a statement says, signed by a key of receipts that is trusted. Raises `Altered` and `Unusable`."""
    otherwise = f"this is no statement: {STATEMENT}, origin, what is said"
    return _object(parse(signed_line(note, STATEMENT, keys, otherwise).encode()))


def statement_heads(said: dict[str, Any], trust: Trust) -> Checkpoint:
    """The checkpoint of a statement; the one before its first leaf must be older than the window. Raises `Altered`."""
    checkpoint = trust.checkpoint(said["checkpoint"])
    first, last = said["leaves"]["first"], said["leaves"]["last"]
    if last != checkpoint.size:
        raise Altered(f"it is about leaves up to {last - 1}, and its checkpoint covers {checkpoint.size}")
    if not first and said["before"] is None:
        return checkpoint
    before = trust.checkpoint(said["before"])
    begins = max((term["from"] for term in said["terms"] if "from" in term), default="")
    if before.size != first or not begins:
        raise Altered(f"nothing shows why it begins at leaf {first}")
    if before.signed_at is None or before.signed_at + AHEAD_S > datetime.fromisoformat(begins).timestamp():
        raise Altered(f"leaves before {first} were sealed less than an hour before the time that is asked for")
    return checkpoint


NAMED = 100
"""So many of the records that match a statement names, where there are so many."""
AHEAD_S = 3600
"""No event is taken whose time is more than this ahead of its receipt."""


def check_statement(said: dict[str, Any], log: Bundle, seen: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Ask the query again of each record of a range. Raises `Altered`, `Uncovered`."""
    manifest, first, last = seen["manifest"], said["leaves"]["first"], said["leaves"]["last"]
    if manifest["kind"] != "range" or manifest["range"]["first"] > first or manifest["range"]["last"] < last:
        raise Uncovered(f"the bundle has not all leaves from {first} to {last - 1}")
    same_log(log, manifest, checkpoint)
    ids = leaves_that_match(log, manifest, said["terms"], last)
    found = [index for index in ids if index >= first]
    if len(found) != said["found"]:
        one = f", leaf {found[0]} for one" if found else ""
        raise Altered(f"{len(found)} of the {last - first} records match{one}, the statement says {said['found']}")
    named = [(one["leaf"], one["event_id"]) for one in said["records"]]
    if named != [(index, ids[index]) for index in found[: min(said["found"], NAMED)]]:
        raise Altered("other records match than the statement names")


def report_statement(said: dict[str, Any], checkpoint: Checkpoint, trust: Trust, receipt_keys: list[Key]) -> None:
    """Print what is said, of which leaves."""
    first, last = said["leaves"]["first"], said["leaves"]["last"]
    print(f"statement {said['id']} of {said['system']}, made at {said['made_at']} for {said['asked_by']}")
    print(f"query: {said['query']}")
    print(f"asked of each record: {in_words(said['terms'])}")
    print(f"{said['found']} records match of the leaves {first} to {last - 1}")
    print(f"checkpoint: {checkpoint.size} records{_when(checkpoint.signed_at)}, by the log itself")
    if first:
        print(f"leaves before {first} were sealed an hour or more before the time that is asked for")
    for key in (*trust.keys, *receipt_keys):
        print(f"key (pinned): {key}")


def verify_statement(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    options.bundle = None
    trust, keys = trust_of(options), [read_key(text, (ED25519,)) for text in options.receipt_key]
    try:
        said = read_statement(options.statement.read_bytes().decode("utf-8"), keys)
        checkpoint = statement_heads(said, trust)
        if options.range is not None:
            log, seen = Bundle(options.range), {}
            if faulty := list(faults(log, trust, keys, seen)):
                raise Altered(f"the bundle of the range does not hold: {faulty[0]}")
            check_statement(said, log, seen, checkpoint)
    except (Altered, Uncovered) as error:
        verdict = FORKED if isinstance(error, Forked) else ALTERED if isinstance(error, Altered) else NOT_COVERED
        print(f"{verdict}  the statement: {error}")
        return verdict
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"the statement lacks something that it should have: {error}") from None
    report_statement(said, checkpoint, trust, keys)
    if len(checkpoint.witnessed) < trust.quorum:
        print(f"{NOT_COVERED}  fewer than the {trust.quorum} witnesses that you ask for have cosigned")
        return NOT_COVERED
    if options.range is None:
        print("not shown: that it is so; give a bundle of these leaves with --range")
        return SIGNED
    records = said["leaves"]["last"] - said["leaves"]["first"]
    print(f"shown: {said['found'] or 'none'} of the {records} records matches")
    return VERIFIED


def read_statement_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line of `statement`."""
    parser = argparse.ArgumentParser(prog="verify.py statement", description="Verify a signed statement.")
    parser.add_argument("statement", type=Path, help="the statement, a signed note")
    parser.add_argument("--receipt-key", action="append", required=True, help="a public key of receipts (repeatable)")
    parser.add_argument("--range", type=Path, help="an evidence bundle of the range of leaves that it is about")
    add_trust(parser)
    return parser.parse_args(arguments)


EXTRACT = "auditsite/export/v1"
SHOWN_MEMBERS = ("leaf_index", "verified", "redacted")
"""What the answer of `GET export` has of an event beyond the record."""


def check_extract(document: dict[str, Any], keys: list[Key]) -> Iterator[str]:
    """What is wrong with the answer of `GET export`: its signature, and the digest of each event."""
    otherwise = f"the signature is not that of an export: {EXTRACT}, origin, SHA-256"
    digest = signed_line(str(document.pop("signature", "")), EXTRACT, keys, otherwise)
    if hashlib.sha256(canonical(document)).hexdigest() != digest:
        yield "the file is not the one that was signed"
    for event in document["events"]:
        record = {name: value for name, value in event.items() if name not in SHOWN_MEMBERS}
        try:
            entry_leaf(record) if event["redacted"] else leaf_of(record)
        except Altered as error:
            yield f"{str(event.get('event_id'))[:80]}: {error}"


def verify_extract(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Unusable`."""
    keys = [read_key(text, (ED25519,)) for text in options.receipt_key]
    document = _object(parse(options.export.read_bytes()))
    try:
        found = list(check_extract(document, keys))
        said, events = document["verification"], document["events"]
        query, redacted = document["export_metadata"]["query"], sum(bool(event["redacted"]) for event in events)
        summary = f"{said['valid_events']} of {said['total_events_verified']} were found to be as sealed"
    except Altered as error:
        found = [str(error)]
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"the export lacks something that it should have: {error}") from None
    for fault in found[:MOST_TOLD]:
        print(f"{ALTERED}  the export: {fault}")
    if found:
        return ALTERED
    print(f"{len(events)} events of the query {query!r}, signed by a key that you gave")
    print(f"said by the operator, not shown: {summary}, and no other record matches; for proofs: POST exports")
    if redacted:
        print(f"{redacted} of them are redacted: what remains of their content is what the operator says")
    return SIGNED


def read_extract_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line of `export`."""
    parser = argparse.ArgumentParser(prog="verify.py export", description="Verify the signed answer of GET export.")
    parser.add_argument("export", type=Path, help="the answer, JSON")
    parser.add_argument("--receipt-key", action="append", required=True, help="a public key of receipts (repeatable)")
    return parser.parse_args(arguments)


def verify_sample(options: argparse.Namespace) -> str:
    """Draw the sample of a query again, of a range of the log. Raises `Altered` and `Unusable`."""
    samples, log = Bundle(options.evidence), Bundle(options.log)
    trust, receipt_keys = evidence_keys(samples, options)
    found: list[dict[str, Any]] = [{}, {}]
    for bundle, seen in zip((samples, log), found, strict=True):
        if faulty := list(faults(bundle, trust, receipt_keys, seen)):
            print(f"{ALTERED}  {faulty[0]}")
            return ALTERED
    manifest, range_of = found[0]["manifest"], found[1]["manifest"]
    if manifest["kind"] != "sample" or range_of["kind"] != "range":
        raise Unusable("give a bundle of a sample, and then one of a range of the log")
    try:
        drawn_again(log, range_of, found[0])
    except (Altered, Uncovered) as error:
        verdict = FORKED if isinstance(error, Forked) else ALTERED if isinstance(error, Altered) else NOT_COVERED
        print(f"{verdict}  {error}")
        return verdict
    report_evidence(found[0], trust, receipt_keys)
    return evidence_verdict(found[0], trust)


def drawn_again(log: Bundle, range_of: dict[str, Any], seen: dict[str, Any]) -> None:
    """Look for the population in a range of the log, and draw of it. Raises `Altered`, `Uncovered`."""
    manifest, said, checkpoint = seen["manifest"], seen["manifest"]["sample"], seen["checkpoint"]
    terms, leaves = manifest["terms"], manifest["range"] or {"first": 0, "last": checkpoint.size}
    if manifest["sees"]:
        raise Uncovered("the one who asked may see a part of the records: of which it was drawn is not in the log")
    if range_of["range"]["first"] > leaves["first"] or range_of["range"]["last"] < leaves["last"]:
        raise Uncovered(f"the range has not all leaves from {leaves['first']} to {leaves['last'] - 1}")
    same_log(log, range_of, checkpoint)
    found = [index for index in leaves_that_match(log, range_of, terms, leaves["last"]) if index >= leaves["first"]]
    print(f"asked again of each record: {in_words(terms)}")
    if len(found) != said["population"]:
        raise Altered(f"{len(found)} records match, and the sample is said to be of {said['population']}")
    if wrong := list(other_sample(seen["volumes"].places, draw(found, said), said)):
        raise Altered(wrong[0])
    print(
        f"shown: {len(found)} of the leaves {leaves['first']} to {leaves['last'] - 1} match, and this is their sample"
    )


def read_sample_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line of `sample`."""
    parser = argparse.ArgumentParser(prog="verify.py sample", description="Draw a sample again.")
    parser.add_argument("evidence", type=Path, help="the bundle of the sample")
    parser.add_argument("log", type=Path, help="a bundle of a range that has all leaves that it was drawn of")
    parser.add_argument("--receipt-key", action="append", default=[], help="a public key of receipts (repeatable)")
    add_trust(parser)
    return parser.parse_args(arguments)


def read_evidence_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line of `evidence`."""
    parser = argparse.ArgumentParser(prog="verify.py evidence", description="Verify an evidence bundle.")
    parser.add_argument("evidence", type=Path, help="the bundle: its zip, or the folder it was unpacked to")
    parser.add_argument("--receipt-key", action="append", default=[], help="a public key of receipts (repeatable)")
    parser.add_argument(
        "--originals", action="append", default=[], type=Path, help="redacted records as they were, a JSON line each"
    )
    add_trust(parser)
    return parser.parse_args(arguments)


MOST_TOLD = 20


def _tell(records: int) -> None:
    if sys.stderr.isatty() and records % 1000 == 0:
        print(f"\r{records} records", end="", file=sys.stderr)


def verify_records(options: argparse.Namespace) -> str:
    """Verify, print, and return the verdict. Raises `Altered` and `Unusable`."""
    trust = trust_of(options)
    result = check_all(bundle_items(options.bundle) if options.bundle else file_items(options), trust)
    report(result, trust)
    return verdict_of(result, trust)


def verdict_of(result: Result, trust: Trust) -> str:
    """The verdict; a key that came with the bundle is not enough."""
    if result.verdict == VERIFIED and not trust.pinned:
        print("All fits together, but the key came with the bundle. Compare it with the one that was published")
        print("elsewhere, then run this again with --key.")
        return NOT_COVERED
    return result.verdict


WAYS = {
    "receipt": (read_receipt_arguments, verify_receipt),
    "evidence": (read_evidence_arguments, verify_evidence),
    "sample": (read_sample_arguments, verify_sample),
    "statement": (read_statement_arguments, verify_statement),
    "export": (read_extract_arguments, verify_extract),
}


def main(arguments: list[str] | None = None) -> int:
    """Verify, print, and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    read, verify = WAYS.get(given[0] if given else "", (None, verify_records))
    options = read(given[1:]) if read else read_arguments(given)
    try:
        verdict = verify(options)
    except (Unusable, Altered, OSError, UnicodeDecodeError) as error:
        print(f"cannot be used: {error}", file=sys.stderr)
        return 2
    except BROKEN_ZIP as error:
        print(f"cannot be used: the zip of the bundle is damaged or cut off: {error}", file=sys.stderr)
        return 2
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        print(f"cannot be used: it lacks something that it should have: {error!r}", file=sys.stderr)
        return 2
    print(f"VERDICT: {verdict}")
    return EXIT[verdict]


if __name__ == "__main__":
    sys.exit(main())
