"""splunk: Splunk's HTTP Event Collector. Where its token has acknowledgement, a batch counts once it is indexed."""

import json
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, RecordsRefused, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken
from audit.streams.targets.post import Answer, Post, fault_of

EVENTS, ACKNOWLEDGED = "/services/collector/event", "/services/collector/ack"
POLL_S = 0.5
# Codes of the collector: it refuses these data; it is busy, ends, or its queues are full.
REFUSES = {5, 6, 12, 13, 15}
BUSY = {8, 9, 18, 23, 24, 26, 27}


class SplunkTarget:
    """A collector, by its address without a path."""

    def __init__(self, options: Options):
        self._post = Post(options)
        secret = options.secret("token", required=True)
        assert secret is not None
        self._secret = secret
        self._acknowledges = options.flag("acknowledgement", True)
        self._wait_s = options.number("acknowledgement_s", 60, least=1, most=3600)
        self._with = {
            name: options.text(name, default)
            for name, default in (
                ("sourcetype", "auditsite:record"),
                ("source", "auditsite"),
                ("index", ""),
                ("host", ""),
            )
        }
        # Of this process: acknowledgements are told apart by it.
        self._channel = str(uuid.uuid4())

    @property
    def place(self) -> str:
        return f"{self._post.url}{EVENTS}"

    def resume(self) -> Taken | None:
        return None

    def send(self, lines: Sequence[Line]) -> None:
        answer = self._post.post(EVENTS, b"\n".join(self._event(line) for line in lines), self._headers())
        if answer.status != 200:
            raise self._fault(answer, lines)
        if self._acknowledges:
            self._wait(_number(_body(answer), "ackId"))

    def close(self) -> None:
        self._post.close()

    def _headers(self) -> dict[str, str]:
        channel = {"X-Splunk-Request-Channel": self._channel} if self._acknowledges else {}
        return {"Authorization": f"Splunk {self._secret.read()}", "Content-Type": "application/json", **channel}

    def _event(self, line: Line) -> bytes:
        document = line.document()
        beside: dict[str, Any] = {name: value for name, value in self._with.items() if value}
        if text := document.get("event_timestamp"):
            beside["time"] = round(datetime.fromisoformat(text).timestamp(), 3)
        return json.dumps(beside)[:-1].encode() + b', "event": ' + line.body + b"}"

    def _wait(self, number: int | None) -> None:
        """Until the batch is indexed. Raises `TargetFault`."""
        if number is None:
            raise Misconfigured(
                f"{self.place} gives no acknowledgement: switch it on for the token, or set acknowledgement = false"
            )
        ends = time.monotonic() + self._wait_s
        path = f"{ACKNOWLEDGED}?channel={self._channel}"
        while time.monotonic() < ends:
            answer = self._post.post(path, json.dumps({"acks": [number]}).encode(), self._headers())
            if answer.status != 200:
                raise fault_of(answer, self.place)
            acks = _body(answer).get("acks")
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return
            time.sleep(POLL_S)
        raise Unavailable(f"{self.place} did not acknowledge a batch within {self._wait_s:.0f} s")

    def _fault(self, answer: Answer, lines: Sequence[Line]) -> Exception:
        said = _body(answer)
        code, number = _number(said, "code"), _number(said, "invalid-event-number")
        if answer.status == 413:
            return RecordsRefused({line.leaf: answer.text for line in lines}, is_sure=len(lines) == 1)
        if answer.status == 400 and code in REFUSES:
            if number is not None and 0 <= number < len(lines):
                return RecordsRefused({lines[number].leaf: answer.text})
            return RecordsRefused({line.leaf: answer.text for line in lines}, is_sure=len(lines) == 1)
        if code in BUSY:
            return Unavailable(f"{self.place} answered {answer.status}: {answer.text}", answer.retry_after_s)
        return fault_of(answer, self.place)


def _body(answer: Answer) -> dict[str, Any]:
    try:
        read = json.loads(answer.body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _number(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
