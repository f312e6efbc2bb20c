"""proof_bundle: records with their proofs in one file, for `verify.py` on a laptop without this site.

JSON lines, each in RFC 8785 form: the keys that the log claims, then a line a record, then a count and a digest of all
lines before it. The digest is against accidents; only the signature of the log is against people.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import rfc8785

from audit.errors import NotSealed
from audit.formats import note
from audit.ledger import heads, reader
from audit.ledger import keys as ledger_keys
from audit.models import Checkpoint, Leaf, Record

FORMAT = "auditsite/v1"


def lines(records: Iterable[Record], using: str = "reader") -> Iterator[bytes]:
    """The lines of a bundle, all proofs under the newest checkpoint.

    Raises `NotSealed` for a record that is not sealed yet, `KeyMissing` without the log's public keys.
    """
    keys = ledger_keys.load()
    checkpoint = heads.give_out()
    text = reader.full_note(checkpoint, using)
    header = {"bundle": FORMAT, "keys": [str(key) for key in keys.current], "origin": keys.origin}
    digest, count = hashlib.sha256(), 0
    for count, line in enumerate(_header_and_records(header, records, checkpoint, text, using)):  # noqa: B007
        digest.update(line)
        yield line
    yield _line({"records": count, "sha256": digest.hexdigest()})


def _header_and_records(
    header: dict[str, Any], records: Iterable[Record], checkpoint: Checkpoint, text: str, using: str
) -> Iterator[bytes]:
    yield _line(header)
    for record in records:
        leaf = Leaf.objects.using(using).filter(record_id=record.id).first()
        if leaf is None or leaf.index >= checkpoint.size:
            raise NotSealed(f"The record {record.id} is not sealed yet: try again in a second.")
        proof = note.Proof(leaf.index, reader.inclusion(leaf.index, checkpoint.size, using), text)
        yield _line({"proof": proof.text, "record": record.as_json() | {"state": "sealed"}})


def _line(value: dict[str, Any]) -> bytes:
    return rfc8785.dumps(value) + b"\n"
