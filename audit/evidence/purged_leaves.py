"""purged_leaves: the leaves of a bundle whose records a purge removed, each with the certificate that says so.

Such a leaf is a line of a file of its own beside the records of its volume. The certificates are in the bundle as the
records that they are, with their proofs, so that nobody has to believe the store about what is not there.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import rfc8785

from audit import visibility
from audit.errors import NotSealed, PurgeUnsettled
from audit.formats.tiles import Run
from audit.ledger import purged, reader
from audit.models import Export, Record

CERTIFICATES = "purges.jsonl"
LEAVES_PER_READ = 4_000


class Certificates:
    """The certificate of each plan; each is checked once."""

    def __init__(self) -> None:
        self._known: dict[int, UUID] = {}

    def of(self, plan: int) -> UUID:
        """Return the record that certifies what a plan removed. Raises `PurgeUnsettled`, `KeyMissing`."""
        if plan not in self._known:
            standing = purged.standing(plan)
            if standing.certificate is None:
                raise PurgeUnsettled(f"Records were removed by a purge that is not certified: {standing.why}.")
            self._known[plan] = standing.certificate
        return self._known[plan]


def lines(indexes: Sequence[int], plans: dict[int, int], certificates: Certificates) -> Iterator[bytes]:
    """Yield a line for each of these leaves that has a plan: its place, its hash and its certificate.

    Raises `PurgeUnsettled`, `LogDamaged`.
    """
    removed = (index for index in indexes if index in plans)
    while batch := list(islice(removed, LEAVES_PER_READ)):
        look_up = reader.hashes(Run(0, index, index + 1) for index in batch)
        for index in batch:
            row = {"leaf_index": index, "leaf_hash": base64.b64encode(look_up(0, index)).decode()}
            yield json.dumps(row | {"certificate": str(certificates.of(plans[index]))}).encode() + b"\n"


def summary(export: Export) -> list[dict[str, Any]]:
    """What the manifest says of each certificate: its record, its plan, for how many leaves it stands."""
    leaves: dict[str, int] = {}
    for volume in export.volumes:
        for certificate, count in volume.get("certificates", {}).items():
            leaves[certificate] = leaves.get(certificate, 0) + count
    found = []
    for record in _records(list(leaves)):
        plan, facts = record.event_data["request"], purged.read(record.event_data["note"])
        ranges = f"purge-{plan}.txt" if facts["ranges"] > len(facts["named"]) else None
        found.append({"certificate": str(record.pk), "plan": plan, "leaves": leaves[str(record.pk)], "ranges": ranges})
    return found


def files(purges: list[dict[str, Any]]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the name and the content of the certificates with their proofs, and of ranges that they do not name.

    Reading the content raises `PurgeUnsettled` where a certificate is not sealed yet.
    """
    if not purges:
        return
    yield CERTIFICATES, (_proved(record) for record in _records([purge["certificate"] for purge in purges]))
    for purge in purges:
        if purge["ranges"]:
            yield purge["ranges"], (f"{first} {last}\n".encode() for first, last in purged.ranges_of(purge["plan"]))


def _records(ids: list[str]) -> list[Record]:
    with visibility.as_system():
        return list(Record.objects.using("reader").filter(pk__in=ids).order_by("event_timestamp", "id"))


def _proved(record: Record) -> bytes:
    try:
        proof = reader.evidence(record.pk).proof.text
    except NotSealed:
        raise PurgeUnsettled(
            f"The certificate {record.pk} of a purge is not sealed yet: make the bundle again in a minute."
        ) from None
    return rfc8785.dumps({"proof": proof, "record": record.as_json() | {"state": "sealed"}}) + b"\n"
