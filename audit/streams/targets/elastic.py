"""elastic: Elasticsearch and OpenSearch by `_bulk`, whose answer says of each record whether it was taken.

Each is created under its `event_id`: what is there already was taken before, and a data stream takes nothing else.
"""

import json
from collections.abc import Sequence
from typing import Any

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, RecordsRefused, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken
from audit.streams.targets.post import LATER, SHOWN, Post, fault_of

THERE_ALREADY = 409
TOO_LARGE = 413
# Of each record no more than what is judged here.
PATH = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"


class ElasticTarget:
    """An index or a data stream."""

    def __init__(self, options: Options):
        self._post = Post(options)
        self._index = options.text("index")
        self._time = options.text("time_field", "@timestamp")
        self._secret = options.secret("authorization")

    @property
    def place(self) -> str:
        return f"{self._post.url}/{self._index}"

    def resume(self) -> Taken | None:
        return None

    def send(self, lines: Sequence[Line]) -> None:
        headers = {"Content-Type": "application/x-ndjson"}
        if self._secret is not None:
            headers["Authorization"] = self._secret.read()
        answer = self._post.post(PATH, b"".join(self._two_lines(line) for line in lines), headers)
        if answer.status == TOO_LARGE:
            raise RecordsRefused({line.leaf: answer.text for line in lines}, is_sure=len(lines) == 1)
        if answer.status != 200:
            raise fault_of(answer, self.place)
        self._judge(lines, _items(answer.body, self.place))

    def close(self) -> None:
        self._post.close()

    def _two_lines(self, line: Line) -> bytes:
        document = line.document()
        action = json.dumps({"create": {"_index": self._index, "_id": document["event_id"]}})
        # A tombstone has no time: a data stream refuses it without one.
        document[self._time] = document.get("event_timestamp") or "1970-01-01T00:00:00Z"
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return f"{action}\n{body}\n".encode()

    def _judge(self, lines: Sequence[Line], items: Sequence[tuple[int, str]]) -> None:
        """Raise the fault that says most of what was not taken; what was is there already when it comes again."""
        if len(items) != len(lines):
            raise Unavailable(f"{self.place} answered of {len(items)} records where {len(lines)} were sent")
        refused: dict[int, str] = {}
        for line, (status, error) in zip(lines, items, strict=True):
            if status == THERE_ALREADY or 200 <= status < 300:
                continue
            if status in LATER:
                raise Unavailable(f"{self.place} answered {status} of log entry {line.leaf}: {error}")
            if status != 400:
                raise Misconfigured(f"{self.place} answered {status} of log entry {line.leaf}: {error}")
            refused[line.leaf] = error
        if refused:
            raise RecordsRefused(refused)


def _items(body: bytes, place: str) -> list[tuple[int, str]]:
    """Status and error of each record. Raises `Unavailable` for what is no answer of `_bulk`."""
    try:
        items = [next(iter(item.values())) for item in json.loads(body)["items"]]
        return [(int(item["status"]), _error(item.get("error"))) for item in items]
    except (AttributeError, KeyError, LookupError, StopIteration, TypeError, ValueError):
        raise Unavailable(f"{place} answered with what is no answer of _bulk") from None


def _error(error: Any) -> str:
    return f"{error.get('type')}: {error.get('reason')}"[:SHOWN] if isinstance(error, dict) else str(error)[:SHOWN]
