"""Logs of OpenTelemetry in protobuf, as the JSON that OTLP has for them. No more of protobuf is read than they need.

The messages and their numbers are those of opentelemetry/proto/logs/v1/logs.proto and common/v1/common.proto.
"""

import base64
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MEDIA_TYPE = "application/x-protobuf"
MAX_DEPTH = 64
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """A field of a message: its name in JSON, how its value is read, and whether there may be several."""

    name: str
    wire: int
    read: Any
    repeated: bool = False


class Message(NamedTuple):
    """The fields of a message, by number."""

    fields: dict[int, Field]


def logs(body: bytes) -> dict[str, Any]:
    """Read an ExportLogsServiceRequest. Raises `ValueError`."""
    return _message(memoryview(body), _REQUEST, 0)


def partial_success(rejected: int, why: str) -> bytes:
    """Return an ExportLogsServiceResponse: empty where nothing was rejected."""
    if not rejected:
        return b""
    text = why.encode()[:1000]
    part = b"\x08" + _varint(rejected) + b"\x12" + _varint(len(text)) + text
    return b"\x0a" + _varint(len(part)) + part


def _message(data: memoryview, message: Message, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    found: dict[str, Any] = {}
    for number, wire, value in _fields(data):
        field = message.fields.get(number)
        if field is None:
            continue  # of a later version
        if wire != field.wire:
            raise ValueError(f"{field.name} has the wire type {wire}, not {field.wire}")
        read = _message(value, field.read, depth + 1) if isinstance(field.read, Message) else field.read(value)
        if field.repeated:
            found.setdefault(field.name, []).append(read)
        else:
            found[field.name] = read
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and raw value of each field. Raises `ValueError`."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, wire, value
            continue
        if wire not in (FIXED64, BYTES, FIXED32):
            raise ValueError(f"there is no wire type {wire}")
        size = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
        if wire == BYTES:
            size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, wire, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
    raise ValueError("a number does not end")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(value: memoryview) -> str:
    return bytes(value).decode()  # a UnicodeDecodeError is a ValueError


def _signed(value: int) -> str:
    return str(value - 2**64 if value >= 2**63 else value)


def _double(value: memoryview) -> float | str:
    number: float = struct.unpack("<d", value)[0]
    return number if math.isfinite(number) else str(number)


def _unpacked(form: str, make: Callable[[Any], Any] = int) -> Callable[[memoryview], Any]:
    return lambda value: make(struct.unpack(form, value)[0])


def _base64(value: memoryview) -> str:
    return base64.b64encode(value).decode()


def _hex(value: memoryview) -> str:
    return bytes(value).hex()


_TEXT = _text
_VALUE = Message({})
_KEY_VALUE = Message({1: Field("key", BYTES, _TEXT), 2: Field("value", BYTES, _VALUE)})
_ARRAY = Message({1: Field("values", BYTES, _VALUE, repeated=True)})
_KEY_VALUES = Message({1: Field("values", BYTES, _KEY_VALUE, repeated=True)})
_VALUE.fields.update(
    {
        1: Field("stringValue", BYTES, _TEXT),
        2: Field("boolValue", VARINT, bool),
        3: Field("intValue", VARINT, _signed),
        4: Field("doubleValue", FIXED64, _double),
        5: Field("arrayValue", BYTES, _ARRAY),
        6: Field("kvlistValue", BYTES, _KEY_VALUES),
        7: Field("bytesValue", BYTES, _base64),
    }
)
_ATTRIBUTES = Field("attributes", BYTES, _KEY_VALUE, repeated=True)
_RECORD = Message(
    {
        1: Field("timeUnixNano", FIXED64, _unpacked("<Q", str)),
        11: Field("observedTimeUnixNano", FIXED64, _unpacked("<Q", str)),
        2: Field("severityNumber", VARINT, int),
        3: Field("severityText", BYTES, _TEXT),
        5: Field("body", BYTES, _VALUE),
        6: _ATTRIBUTES,
        7: Field("droppedAttributesCount", VARINT, int),
        8: Field("flags", FIXED32, _unpacked("<I")),
        9: Field("traceId", BYTES, _hex),
        10: Field("spanId", BYTES, _hex),
        12: Field("eventName", BYTES, _TEXT),
    }
)
_SCOPE = Message(
    {
        1: Field("name", BYTES, _TEXT),
        2: Field("version", BYTES, _TEXT),
        3: _ATTRIBUTES,
        4: Field("droppedAttributesCount", VARINT, int),
    }
)
_RESOURCE = Message({1: _ATTRIBUTES, 2: Field("droppedAttributesCount", VARINT, int)})
_SCOPE_LOGS = Message(
    {
        1: Field("scope", BYTES, _SCOPE),
        2: Field("logRecords", BYTES, _RECORD, repeated=True),
        3: Field("schemaUrl", BYTES, _TEXT),
    }
)
_RESOURCE_LOGS = Message(
    {
        1: Field("resource", BYTES, _RESOURCE),
        2: Field("scopeLogs", BYTES, _SCOPE_LOGS, repeated=True),
        # Of the layout of before scopes: the same under another number.
        1000: Field("scopeLogs", BYTES, _SCOPE_LOGS, repeated=True),
        3: Field("schemaUrl", BYTES, _TEXT),
    }
)
_REQUEST = Message({1: Field("resourceLogs", BYTES, _RESOURCE_LOGS, repeated=True)})
