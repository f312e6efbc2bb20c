"""What the tests of formats share: samples, naive trees, published notes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import audit
from audit.formats import merkle
from audit.formats.note import Signer
from audit.formats.receipt import Promise

KEY_OF_RECEIPTS = Signer("audit.example/log/receipts", bytes(range(32)))

PROMISED_AT = datetime(2026, 8, 18, 10, 0, 0, 123000, UTC)

PROMISED_EVENTS = {f"0198bcf2-7e5c-7d3e-9a54-{number:012x}": f"{number:064x}" for number in range(3)}


LOG_KEY = "audit.example/log1+640a250f+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

WITNESS = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"

PROOF = """c2sp.org/tlog-proof@v1
index 5
vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

audit.example/log1
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— audit.example/log1 ZAolD9b0mCNGZH8qqeGvWLNewvOgLv8TCaSwLlzK9MpGDopM7hURsxTDfxsMAGqL9GuNXiZvAqXP7NccuDZr5VdpJQY=
— witness.example/w1 IDJKvgAAAABkGFDLDi7n+kOLNoz1p5QcwneoGZLLYDMxAZCHtuwfAre7Mo+9/A2NBsjePAgvtuOKgQDVOvYrOKgfq2Ybu/aTyVvGDA==
"""  # noqa: E501


SAMPLES = [
    json.loads(line)["event"]
    for line in (Path(audit.__file__).parent / "management" / "sample" / "kubernaut.jsonl").read_text().splitlines()
]


def naive(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 writes it down."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return merkle.node_hash(naive(leaves[:middle]), naive(leaves[middle:]))


def leaves_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(size)]


def hashes(leaves: list[bytes], spans: list[merkle.Span]) -> list[bytes]:
    return [naive(leaves[first:last]) for first, last in spans]


def a_promise(**changes: object) -> Promise:
    values = {
        "origin": "audit.example/log",
        "writer": "payments",
        "state": "stored",
        "promised_at": PROMISED_AT,
        "sealed_by": PROMISED_AT + timedelta(seconds=60),
        "events": PROMISED_EVENTS,
    }
    return Promise(**(values | changes))  # type: ignore[arg-type]
