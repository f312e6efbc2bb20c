"""Ask witnesses to cosign checkpoints.

The signature protects the log from a database administrator, but not from an operator, who has the key. A copy that
neither of them controls protects from both: a witness (C2SP tlog-witness), or storage that cannot be overwritten.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from django.conf import settings

from audit.errors import AuditError
from audit.formats import note
from audit.formats.note import Verifier
from audit.ledger import reader
from audit.models import Checkpoint
from audit.postgres import sql

TIMEOUT_S = 5.0
MAX_ANSWER = 64 * 1024


class WitnessRefused(AuditError):
    """The witness did not cosign."""


class WitnessAhead(WitnessRefused):
    """The witness has seen more of the log than there is, or another log of this name."""


class NothingSeen(OSError):
    """The witness answers, and has seen nothing of this log."""


class RemoteWitness(NamedTuple):
    url: str
    verifier: Verifier


def witnesses() -> list[RemoteWitness]:
    """Return the witnesses of SEAL_WITNESSES that are asked. Raises `NoteError` or `ValueError`."""
    return [witness for witness in _configured() if witness.url]


def verifiers() -> list[Verifier]:
    """Return every key of SEAL_WITNESSES, also those of before (`=KEY`), whose cosignatures are still believed.

    Raises `NoteError` or `ValueError`.
    """
    return [witness.verifier for witness in _configured()]


def _configured() -> list[RemoteWitness]:
    configured = []
    for text in settings.SEAL_WITNESSES:
        url, separator, key = text.partition("=")
        verifier = Verifier.parse(key)
        is_asked = url.startswith(("http://", "https://"))
        if not separator or not (is_asked or not url) or verifier.kind != note.COSIGNATURE:
            raise ValueError(
                "SEAL_WITNESSES takes URL=KEY, the key being one that a witness cosigns with; =KEY: one of before"
            )
        configured.append(RemoteWitness(url.rstrip("/"), verifier))
    return configured


def cosign(witness: RemoteWitness, checkpoint: Checkpoint) -> None:
    """Have a witness cosign a checkpoint, and store its line. Raises `WitnessRefused` and `OSError`."""
    old = _last_size(witness)
    status, answer = _ask(witness, checkpoint, old)
    if status == 409:
        # It has seen a larger log than we remember: we crashed, or our database was restored.
        size = answer.strip()
        seen = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else -1
        if not 0 <= seen <= checkpoint.size:
            raise WitnessAhead(f"The witness {witness.verifier.name} has seen {seen} records, more than there are.")
        status, answer = _ask(witness, checkpoint, seen)
    if status != 200:
        refusal = WitnessAhead if status == 422 else WitnessRefused
        raise refusal(f"The witness {witness.verifier.name} answered {status}: {answer.strip()[:200]}")
    _keep(witness, checkpoint, answer)


def latest_of(witness: RemoteWitness, origin: str) -> str:
    """Fetch the newest checkpoint of a log that a witness has seen, as a note. Raises `OSError`, and `NothingSeen`."""
    url = f"{witness.url}/{sha256(origin.encode()).hexdigest()}/checkpoint"
    try:
        with _answering(), urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return str(answer.read(MAX_ANSWER).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        if error.code == 404:
            raise NothingSeen(f"{witness.verifier.name} has seen nothing of {origin}") from None
        raise


def _ask(witness: RemoteWitness, checkpoint: Checkpoint, old: int) -> tuple[int, str]:
    proof = reader.consistency(old, checkpoint.size, "default")
    body = "".join([f"old {old}\n", *(f"{note.encode64(value)}\n" for value in proof), "\n", checkpoint.note])
    request = urllib.request.Request(f"{witness.url}/add-checkpoint", body.encode(), method="POST")
    try:
        with _answering(), urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read(MAX_ANSWER).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MAX_ANSWER).decode("utf-8", "replace")


@contextmanager
def _answering() -> Iterator[None]:
    """Raise `OSError` for an answer that is not HTTP."""
    try:
        yield
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error


def _keep(witness: RemoteWitness, checkpoint: Checkpoint, answer: str) -> None:
    text, _ = note.split(checkpoint.note)
    try:
        _, (attested, *_) = note.verify(note.join(text, [answer]), [witness.verifier])
    except note.NoteError as error:
        raise WitnessRefused(f"The witness {witness.verifier.name} sent no cosignature: {error}") from None
    (line,) = [line for line in answer.splitlines(keepends=True) if line.split(" ")[1] == witness.verifier.name][:1]
    moment = datetime.fromtimestamp(attested.moment or 0, UTC)
    sql.run(
        "INSERT INTO audit_cosignature (checkpoint, name, line, attested_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (checkpoint, name) DO NOTHING",
        [checkpoint.number, witness.verifier.name, line, moment],
    )


def _last_size(witness: RemoteWitness) -> int:
    [(size,)] = sql.rows(
        "SELECT coalesce(max(size), 0) FROM audit_checkpoint "
        "WHERE number = (SELECT max(checkpoint) FROM audit_cosignature WHERE name = %s)",
        [witness.verifier.name],
    )
    return int(size)
