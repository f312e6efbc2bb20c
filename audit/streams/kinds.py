"""kinds: the targets of `streams.toml`, with what all kinds have: bounds of a batch, redaction, a first entry."""

from collections.abc import Callable
from typing import NamedTuple

from audit.errors import Invalid
from audit.streams import config
from audit.streams.config import Options
from audit.streams.targets.base import Target
from audit.streams.targets.elastic import ElasticTarget
from audit.streams.targets.file import FileTarget
from audit.streams.targets.http import HttpTarget
from audit.streams.targets.kafka import KafkaTarget
from audit.streams.targets.s3 import S3Target
from audit.streams.targets.splunk import SplunkTarget
from audit.streams.targets.syslog import SyslogTarget

MB = 1024 * 1024
KINDS: dict[str, Callable[[Options], Target]] = {
    "file": FileTarget,
    "http": HttpTarget,
    "splunk": SplunkTarget,
    "elastic": ElasticTarget,
    "syslog": SyslogTarget,
    "s3": S3Target,
    "kafka": KafkaTarget,
}
# Larger records are given as a reference, where the target's file says nothing else; 0: none is too large.
RECORD_BYTES = {"splunk": 1 * MB, "elastic": 0, "http": 0, "file": 0, "syslog": 8_000, "s3": 0, "kafka": 900_000}
# An object of a bucket holds more than a batch of others, and waits so long for more records where it is not full.
BATCH_RECORDS, BATCH_MB, HOLD_S = {"s3": 10_000}, {"s3": 16.0}, {"s3": 30.0}


class Plan(NamedTuple):
    """A target, and how it is streamed to."""

    name: str
    kind: str
    target: Target
    first: int
    unredacted: bool
    most_records: int
    most_bytes: int
    most_record_bytes: int
    hold_s: float


def plans() -> dict[str, Plan]:
    """All targets of the file, by name; nothing is connected to yet. Raises `Invalid`."""
    return {name: plan(options) for name, options in config.tables().items()}


def plan(options: Options) -> Plan:
    """Raises `Invalid`, which names the member of the file."""
    kind = options.choice("type", "", tuple(KINDS))
    made = Plan(
        options.name,
        kind,
        KINDS[kind](options),
        first=options.integer("first", 0, least=0, most=2**62),
        unredacted=options.flag("unredacted", False),
        most_records=options.integer("batch_records", BATCH_RECORDS.get(kind, 1_000), least=1, most=10_000),
        most_bytes=int(options.number("batch_mb", BATCH_MB.get(kind, 4.0), least=0.001, most=64) * MB),
        most_record_bytes=options.integer("max_record_bytes", RECORD_BYTES[kind], least=0, most=64 * MB),
        hold_s=options.number("hold_s", HOLD_S.get(kind, 0.0), least=0, most=3_600),
    )
    if 0 < made.most_record_bytes < 1_024:
        raise options.fault("max_record_bytes", "must be 1024 or more, or 0 for no bound: a reference has to fit")
    options.done()
    return made


def plan_of(name: str) -> Plan:
    """Raises `Invalid`."""
    known = config.tables()
    if name not in known:
        raise Invalid({"target": f"{name} is none of the file: it has {', '.join(sorted(known)) or 'none'}"})
    return plan(known[name])
