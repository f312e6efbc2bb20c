"""Park again what was kept outside of Redis: by the spool, or in a file of copies."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from dlq import spool
from dlq.authenticity import is_authentic
from dlq.message import BESIDE, Document, Message
from dlq.stream import Stream

BATCH = 500


def restore(queue: Stream, messages: Sequence[Message]) -> None:
    """Park the documents of the messages; those that are in the queue already are not doubled. Raises `Refused`."""
    for reason, group in groupby(messages, key=lambda message: message.reason):
        documents = [_document(message) for message in group]
        if "conflict" in queue.park(documents, reason=reason).outcomes:
            for document in documents:
                _park_alone(queue, document, reason)


def restore_file(queue: Stream, path: Path) -> tuple[int, list[str]]:
    """Park all documents of a file of the spool; return how many, and what could not be read. Raises `Refused`."""
    reader, count = spool.Reader(path), 0
    batch: list[Message] = []
    for message in reader:
        batch.append(message)
        count += 1
        if len(batch) == BATCH:
            restore(queue, batch)
            batch.clear()
    restore(queue, batch)
    return count, reader.damage


def _park_alone(queue: Stream, document: Document, reason: str) -> None:
    """Park one document. If its key has other content in the queue, park it beside that: a person decides.

    Both were acknowledged, while nobody could compare them.
    """
    if "conflict" in queue.park([document], reason=reason).outcomes:
        renamed = replace(document, key=f"{document.key}{BESIDE}{document.digest.hex()[:16]}")
        queue.park([renamed], reason=reason)


def _document(message: Message) -> Document:
    """Make the document to park again. What is forged stays so: it is not signed by us on the way."""
    return Document(
        key=message.key,
        digest=message.digest,
        body=message.body,
        source=message.source,
        kind=message.kind,
        received_at=message.received_at,
        beside=message.beside,
        trace=message.trace,
        mac=None if is_authentic(message) else message.mac,
    )
