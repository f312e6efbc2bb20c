"""issuer_keys: the public keys of JWT_ISSUER, fetched again when they are old or a token names another one.

While the issuer does not answer, those that it last gave are trusted for JWT_KEYS_MAX_AGE_H. A signed copy is in
Redis, so that a process that starts in such a time has them too. Where keys are known, no request waits for the fetch
of another one.
"""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import structlog
from django.conf import settings

from audit.access import published_keys
from audit.access.api_keys import Unanswerable
from audit.ingest.signed_copies import CopyUnavailable

log = structlog.get_logger(__name__)

FETCH_TIMEOUT_S = 2.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 64
# The issuer is asked at most so often, whatever tokens are sent.
ASK_EVERY_S = 10.0
# The name of the copy in Redis.
COPY = "issuer"


class IssuerKeys:
    """The keys of one process, by their id."""

    def __init__(self) -> None:
        self._fetching = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Know nothing, as a new process does."""
        self._keys: Mapping[str, Any] = {}
        # When the issuer gave them, in Unix seconds.
        self._fetched_at = 0.0
        # Of the monotonic clock.
        self._asked_at = float("-inf")

    def find(self, key_id: str) -> Any | None:
        """Return the key with this id; None where the issuer has none.

        Raises `Unanswerable` where that cannot be known.
        """
        if self._age_s() > settings.JWT_KEYS_TTL_S or key_id not in self._keys:
            self._refresh()
        if self._age_s() > settings.JWT_KEYS_MAX_AGE_H * 3600:
            raise Unanswerable("The issuer of tokens does not answer, and its keys are not known or too old.")
        return self._keys.get(key_id)

    def _age_s(self) -> float:
        return time.time() - self._fetched_at

    def _refresh(self) -> None:
        if time.monotonic() - self._asked_at < ASK_EVERY_S:
            return
        if not self._fetching.acquire(blocking=not self._keys, timeout=-1 if self._keys else FETCH_TIMEOUT_S):
            return
        try:
            if time.monotonic() - self._asked_at >= ASK_EVERY_S:
                self._ask()
        finally:
            self._asked_at = time.monotonic()
            self._fetching.release()

    def _ask(self) -> None:
        try:
            text = fetch(settings.JWT_JWKS_URL)
            self._take(text, time.time())
        except (OSError, ValueError, HTTPException) as error:
            log.error("issuer_keys_not_fetched", error=type(error).__name__, age_s=min(self._age_s(), 10**9))
            self._take_copy()
            return
        try:
            published_keys.keep(COPY, json.dumps([settings.JWT_ISSUER, self._fetched_at, text]))
        except CopyUnavailable as error:
            log.warning("issuer_keys_not_copied", error=str(error))

    def _take_copy(self) -> None:
        try:
            if (kept := published_keys.kept(COPY)) is None:
                return
        except CopyUnavailable:
            return
        issuer, fetched_at, text = json.loads(kept)
        if issuer == settings.JWT_ISSUER and self._fetched_at < fetched_at <= time.time():
            self._take(text, fetched_at)

    def _take(self, text: str, fetched_at: float) -> None:
        self._keys, self._fetched_at = parse(text), fetched_at


def fetch(url: str) -> str:
    """Return the issuer's document. Raises `OSError`, `ValueError`, `HTTPException`."""
    request = urllib.request.Request(url, headers={"Accept": "application/json, application/jwk-set+json"})
    if settings.JWT_TOKEN_FILE is not None:
        token = settings.JWT_TOKEN_FILE.read_text(encoding="utf-8").strip()
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=settings.JWT_CA_FILE) if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=FETCH_TIMEOUT_S, context=context) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    if len(body) > MAX_BYTES:
        raise ValueError("the issuer's keys are too long")
    return body.decode()


def parse(text: str) -> dict[str, Any]:
    """Return the public keys for signatures of a JWKS document. Raises `ValueError`."""
    import jwt  # the extra `jwt`

    document = json.loads(text)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"the issuer's keys are no JWKS of at most {MAX_KEYS} keys")
    keys = {}
    for entry in listed:
        # A shared secret is no public key, whoever publishes it.
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            keys[str(entry["kid"])] = jwt.PyJWK(entry)
        except (KeyError, jwt.PyJWTError):
            continue
    if not keys:
        raise ValueError("the issuer's document has no key for signatures")
    return keys


issuer_keys = IssuerKeys()
