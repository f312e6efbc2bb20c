"""columns: lines of a stream as typed columns of Arrow. pyarrow is an extra: `pip install auditsite[parquet]`."""

import json
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import Any

from audit.errors import AuditError
from audit.evidence.record_lines import MEMBERS, TIMES
from audit.streams.leaves import Line

NUMBERS = {"leaf_index": "int64", "duration_ms": "int32", "retention_days": "int32", "source_seq": "int64"}
# JSON as text: what is in it differs by the type of event.
DOCUMENTS = ("event_data", "erasable", "salts", "erased", "redacted")
# What a tombstone has, beside the place and the id.
OF_TOMBSTONES = {"leaf_hash": "string", "purge": "int64"}
NAMES = (*MEMBERS, "redacted", *OF_TOMBSTONES)


class ParquetMissing(AuditError):
    """pyarrow is not installed: `pip install auditsite[parquet]`."""


def arrow(name: str) -> ModuleType:
    """A module of pyarrow, loaded when it is asked for. Raises `ParquetMissing`."""
    try:
        return import_module(name)
    except ImportError:
        raise ParquetMissing from None


def schema() -> Any:
    """The columns of each file. Raises `ParquetMissing`."""
    pyarrow = arrow("pyarrow")
    return pyarrow.schema([pyarrow.field(name, _type(pyarrow, name)) for name in NAMES])


def table(lines: Sequence[Line]) -> Any:
    """The lines as rows, in their order. Raises `ParquetMissing`."""
    pyarrow = arrow("pyarrow")
    documents = [line.document() for line in lines]
    columns = {name: [_value(name, document.get(name)) for document in documents] for name in NAMES}
    return pyarrow.Table.from_pydict(columns, schema=schema())


def _type(pyarrow: ModuleType, name: str) -> Any:
    if name in TIMES:
        return pyarrow.timestamp("us", tz="UTC")
    if name == "is_sensitive":
        return pyarrow.bool_()
    return getattr(pyarrow, (NUMBERS | OF_TOMBSTONES).get(name, "string"))()


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in TIMES:
        return datetime.fromisoformat(value)
    if name in DOCUMENTS:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value
