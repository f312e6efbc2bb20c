"""Connections to Redis, and the names of keys in it.

A connection has short timeouts and never retries behind the caller's back. redis-py retries ten times by default: a
stopped server then costs seconds, and a stalled one can write the same message twice.
"""

import os
from dataclasses import dataclass

import redis
from django.conf import settings

from dlq import address, servers

DRAIN_TIMEOUT_MS = 5_000


def connect(timeout_ms: int, app: str = "") -> redis.Redis:
    """Return this process's client with this timeout; a forked child gets one of its own.

    `app` is whose keys are asked for, as in `app_key`; without it, those of the queue. Only a cluster has them apart.
    """
    tag = (app or settings.DLQ_PREFIX) if address.read(settings.REDIS_URL).kind == "cluster" else ""
    place = (os.getpid(), settings.REDIS_URL, timeout_ms, tag)
    if (client := _clients.get(place)) is None:
        made = servers.client(settings.REDIS_URL, tag=tag, timeout_s=timeout_ms / 1000)
        client = _clients.setdefault(place, made)
    return client


def app_key(app: str, subject: str, *names: str) -> str:
    """Return the key of something that an app keeps beside the queue: `{app}:subject:DLQ_PREFIX:names`.

    The prefix keeps two installations on one Redis apart. All keys of an app share a hash tag, so that one transaction
    can hold several of them on a cluster.
    """
    return ":".join((f"{{{app}}}", subject, settings.DLQ_PREFIX, *names))


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue. All share one hash tag, so that every script stays on one node of a cluster."""

    prefix: str

    @property
    def stream(self) -> str:
        """Stream of all parked documents: the truth that everything else can be made from."""
        return self._key("s")

    @property
    def due(self) -> str:
        """Sorted set of the ids that are due or wait, by the time of the next try (ms)."""
        return self._key("due")

    @property
    def leased(self) -> str:
        """Sorted set of the ids that a drainer has in hand, by the end of the lease (ms)."""
        return self._key("leased")

    @property
    def dead(self) -> str:
        """Sorted set of the ids that need a person, by the time of death (ms)."""
        return self._key("dead")

    @property
    def ids(self) -> str:
        """Hash from the document's key to its id in the stream."""
        return self._key("ids")

    @property
    def stats(self) -> str:
        """Hash of the totals since the queue began."""
        return self._key("stats")

    @property
    def counters(self) -> str:
        """Hash of the counters per day and source."""
        return self._key("passages")

    @property
    def alarm(self) -> str:
        """Hash of what is alarmed now, and what has been told of it."""
        return self._key("alarm")

    @property
    def beats(self) -> str:
        """Hash of the times at which each process last ran (ms)."""
        return self._key("beats")

    @property
    def pause(self) -> str:
        """Hash of who paused the drains, and when; absent while they work."""
        return self._key("paused")

    @property
    def minutes(self) -> str:
        """Sorted set of the samples of each minute."""
        return self._key("s:history")

    @property
    def outage(self) -> str:
        """Hash of what was seen of the open outage."""
        return self._key("s:episode")

    @property
    def blips(self) -> str:
        """How many outages were too short and too small to be one."""
        return self._key("blips")

    @property
    def copied(self) -> str:
        """Hash of the last id that was copied to the spool."""
        return self._key("s:kept")

    @property
    def generation(self) -> str:
        """Random id of this life of the queue."""
        return self._key("generation")

    @property
    def inbox(self) -> str:
        """List of what writers have parked by themselves."""
        return self._key("inbox")

    @property
    def kept(self) -> str:
        """Stream of what left the queue for the store, for some hours."""
        return self._key("kept")

    @property
    def rebuild(self) -> str:
        """Lock of the process that makes the indexes again."""
        return self._key("rebuild")

    def history(self, message_id: str) -> str:
        """Hash of the attempts and errors of one message."""
        return self._key(f"m:{message_id}")

    def _key(self, name: str) -> str:
        return f"{{{self.prefix}}}:{name}"


_clients: dict[tuple[int, str, int, str], redis.Redis] = {}
