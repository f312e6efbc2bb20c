"""A CloudEvent in binary mode, whose attributes are headers, as the structured one that it stands for."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from audit.formats.canonical import Unreadable
from audit.imports.reading import values

PREFIX = "HTTP_CE_"
STRUCTURED = "application/cloudevents"


def is_binary(headers: Mapping[str, Any]) -> bool:
    """Return whether a request carries its attributes as headers (`ce-id`), as WSGI names them."""
    return f"{PREFIX}SPECVERSION" in headers and not str(headers.get("CONTENT_TYPE", "")).startswith(STRUCTURED)


def structured(headers: Mapping[str, Any], body: bytes) -> Any:
    """Return the event of a request in binary mode; its data as JSON, as text, or in base64, as its type says."""
    event: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): unquote(str(value))
        for name, value in sorted(headers.items())
        if name.startswith(PREFIX)
    }
    kind = str(headers.get("CONTENT_TYPE", ""))
    if kind:
        event["datacontenttype"] = kind
    if not body:
        return event
    media_type = kind.partition(";")[0].strip().lower()
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return event | {"data_base64": base64.b64encode(body).decode()}
    if media_type.endswith(("/json", "+json")):
        data = values.read(text)
        if isinstance(data, Unreadable):
            return Unreadable({f"data.{path}".rstrip("."): fault for path, fault in data.faults.items()}, text)
        return event | {"data": data}
    if media_type.startswith("text/") or "\x00" not in text:
        return event | {"data": text}
    return event | {"data_base64": base64.b64encode(body).decode()}
