"""The two tiers elsewhere: the store by HTTP, and its dead letter queue in Redis. Each is asked once, in time."""

import email.utils
import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from auditclient.config import Config, DLQConfig
from auditclient.contract import CLIENT, Signer, inbox_key

GZIP_FROM_BYTES = 1024
CONNECT_TIMEOUT_S = 3.0
# A tier is asked again after so long, whatever it said.
LONGEST_WAIT_S = 3600.0
# What the store says of events that it will never take. What else is refused is no fault of an event: a wrong name of
# the host, a proxy's own page.
OF_EVENTS = ("/problems/validation-error", "/problems/conflict")
DETAIL_CHARACTERS = 500

# kept: promised. refused: never as it is. split: too large together. wait: later, by HTTP again. away: no promise, ask
# the next tier. blocked: nothing of this client is taken, until somebody mends its key or its address.
Verdict = Literal["kept", "refused", "split", "wait", "away", "blocked"]


@dataclass(frozen=True)
class Answer:
    """What became of a batch."""

    verdict: Verdict
    state: str = ""
    receipt: str | None = None
    detail: str = ""
    # The reasons of a refusal, by the place of the event in the batch; empty where the store named none.
    faults: dict[int, str] = field(default_factory=dict)
    wait_s: float | None = None


class Kept(msgspec.Struct):
    """What the store answers for events that it took."""

    state: str
    receipt: str | None = None


class Problem(msgspec.Struct):
    """What the store answers for those that it did not."""

    type: str = ""
    detail: str = ""
    field_errors: dict[str, str] = {}


class Store:
    """The store by HTTP. One thread at a time."""

    def __init__(self, config: Config):
        self._config = config
        self._gzip = config.gzip
        headers = {"Authorization": f"Bearer {config.key}", "User-Agent": CLIENT}
        # What is not valid is set aside here, with the reason: not kept there, whatever the writer's setting is.
        headers["Prefer"] = "handling=strict"
        timeout = httpx.Timeout(config.timeout_s, connect=min(CONNECT_TIMEOUT_S, config.timeout_s))
        verify: Any = httpx.create_ssl_context(verify=config.ca_file) if config.ca_file else True
        self._http = httpx.Client(headers=headers, timeout=timeout, verify=verify, trust_env=False)

    def send(self, bodies: Sequence[bytes]) -> Answer:
        """Send a batch once. Never raises: what is not known is `away`."""
        try:
            answer = self._post("events/batch", b"[" + b",".join(bodies) + b"]")
            if answer.status_code == 415 and self._gzip:
                self._gzip = False
                answer = self._post("events/batch", b"[" + b",".join(bodies) + b"]")
        except (httpx.HTTPError, OSError) as error:
            return Answer("away", detail=type(error).__name__)
        return _judged(answer)

    def tell(self, path: str, document: dict[str, Any]) -> dict[str, Any] | None:
        """Send a heartbeat or a manifest; None where it was not taken."""
        try:
            answer = self._post(path, msgspec.json.encode(document))
            return dict(answer.json()) if answer.is_success else None
        except (httpx.HTTPError, OSError, ValueError):
            return None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, path: str, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if self._gzip and len(body) >= GZIP_FROM_BYTES:
            body, headers["Content-Encoding"] = gzip.compress(body, 6), "gzip"
        answer = self._http.post(f"{self._config.url}/{path}", content=body, headers=headers)
        # RFC 7694: so a server says that it takes compressed bodies.
        if answer.is_success and "gzip" in answer.headers.get("Accept-Encoding", ""):
            self._gzip = True
        return answer


class Queue:
    """The dead letter queue in Redis. One thread at a time."""

    def __init__(self, config: DLQConfig, signer: Signer):
        self._config, self._signer = config, signer
        self._key = inbox_key(config.prefix)
        self._redis: Any = redis.Redis.from_url(
            config.redis_url,
            # What is not known is asked of the caller: a retry in secret could write twice.
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
        )

    def park(self, bodies: Sequence[bytes]) -> Answer:
        """Park a batch, all of it or none. Never raises."""
        entries = [self._signer.entry(body) for body in bodies]
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.rpush(self._key, *entries)
                if self._config.min_replicas:
                    pipe.execute_command("WAIT", self._config.min_replicas, int(self._config.timeout_s * 500))
                _, *confirmed = pipe.execute()
        except (redis.RedisError, OSError) as error:
            return Answer("away", detail=type(error).__name__)
        if confirmed and confirmed[0] < self._config.min_replicas:
            return Answer("away", detail="too few replicas confirmed")
        return Answer("kept", state="queued")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _judged(answer: httpx.Response) -> Answer:
    code = answer.status_code
    if code in (200, 201, 202):
        return _kept(answer)
    problem = _problem(answer)
    detail = f"{code}: {problem.detail}"[:DETAIL_CHARACTERS]
    waits_s = _retry_after(answer.headers.get("Retry-After", ""))
    if code in (400, 409) and problem.type in OF_EVENTS:
        return Answer("refused", detail=detail, faults=_by_place(problem.field_errors))
    if code == 413:
        return Answer("split", detail=detail)
    if code == 429:
        return Answer("wait", detail=detail, wait_s=waits_s)
    if code >= 500 or code == 408:
        return Answer("away", detail=detail, wait_s=waits_s)
    return Answer("blocked", detail=detail, wait_s=waits_s)


def _kept(answer: httpx.Response) -> Answer:
    """A success promises something only in the store's own words: a proxy's page does not."""
    try:
        kept = msgspec.json.decode(answer.content, type=Kept)
    except msgspec.MsgspecError:
        kept = Kept("")
    if kept.state not in ("stored", "parked"):
        return Answer("blocked", detail=f"{answer.status_code}, but not from the store: is the address right?")
    return Answer("kept", state=kept.state, receipt=kept.receipt)


def _problem(answer: httpx.Response) -> Problem:
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        return Problem()


def _by_place(field_errors: dict[str, str]) -> dict[int, str]:
    faults: dict[int, str] = {}
    for name, message in field_errors.items():
        place, _, member = name.partition(".")
        if place.isascii() and place.isdigit():
            faults[int(place)] = "; ".join(filter(None, (faults.get(int(place)), f"{member}: {message}")))
    return faults


def _retry_after(text: str) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max((email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


class Backoff:
    """When a tier may be asked again: later and later while it fails, as the answer says where it says so."""

    FIRST_S, LONGEST_S = 0.25, 30.0

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._pause_s = 0.0
        self.until = 0.0
        self._is_told = False

    def is_over(self) -> bool:
        """Whether it may be asked."""
        return self._clock() >= self.until

    def fail(self, wait_s: float | None = None) -> None:
        """Note a failure."""
        self._pause_s = min(max(self._pause_s * 2, self.FIRST_S), self.LONGEST_S)
        self.until = self._clock() + min(self._pause_s if wait_s is None else wait_s, LONGEST_WAIT_S)
        self._is_told = wait_s is not None

    def hurry(self) -> None:
        """Let it be asked now, unless it said itself when."""
        if not self._is_told:
            self.until = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether it failed when it was asked last."""
        return self._pause_s > 0

    def succeed(self) -> None:
        """Note that it answered."""
        self._pause_s = self.until = 0.0

    def remaining_s(self) -> float:
        """Return how long to wait."""
        return max(self.until - self._clock(), 0.0)
