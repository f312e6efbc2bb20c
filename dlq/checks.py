"""System checks: would this Redis keep what is parked in it?

They are tagged as database checks, so that they run when asked for (`manage.py check --database default`), not at every
command.
"""

import os
from collections.abc import Iterator
from typing import Any

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from dlq import address, client, sentinels

LEAST_VERSION = (6, 2)
# That `appendfsync` could not be read, as managed services and narrow roles have it.
NOT_READ = "dlq.W002"


def durability(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Compare the live Redis with what the queue needs of it."""
    if not databases:
        return []
    return [*_of_cache(), *_of_spool(), *_of_signatures(), *_of_redis()]


def _of_cache() -> Iterator[CheckMessage]:
    if settings.CACHE_URL == settings.REDIS_URL:
        yield Error(
            "The cache is in the database of the queue: to clear it would empty the queue.",
            hint="Give CACHE_URL a Redis of its own, or another database; or leave it out.",
            id="dlq.E007",
        )


def _of_spool() -> Iterator[CheckMessage]:
    if settings.DLQ_SPOOL_DIR is not None and not os.access(settings.DLQ_SPOOL_DIR, os.W_OK | os.X_OK):
        yield Error(
            f"DLQ_SPOOL_DIR {settings.DLQ_SPOOL_DIR} is no folder that this process may write to.",
            hint="Make it on a disk of its own, and give it to the user of the site.",
            id="dlq.E006",
        )


def _of_signatures() -> Iterator[CheckMessage]:
    if settings.DLQ_UNSIGNED_UNTIL is not None:
        yield Warning(
            f"Entries of the queue without a signature are taken until {settings.DLQ_UNSIGNED_UNTIL.isoformat()}.",
            hint="Remove DLQ_UNSIGNED_UNTIL once the queue is empty: until then, a writer of Redis can forge events.",
            id="dlq.W004",
        )


def _of_redis() -> list[CheckMessage]:
    at = address.read(settings.REDIS_URL)
    if unreadable := address.unreadable_files(at):
        return [
            Error(
                f"This process cannot read what REDIS_URL names: {', '.join(unreadable)}.",
                hint="Mount the files, and give them to the user that the site runs as.",
                id="dlq.E008",
            )
        ]
    asked = [*sentinels.findings(at)] if at.kind == "sentinel" else []
    connection = client.connect(500)
    try:
        info = connection.info()
        return [*asked, *_of_info(info), *_of_config(connection), *_of_failover(at, info, connection)]
    except redis.RedisError as error:
        if asked:
            return asked
        # A warning: the site must start without Redis, for a 201 does not need it.
        return [
            Warning(
                f"Redis could not be checked: {type(error).__name__}.",
                hint="Start it, see REDIS_URL, then run `manage.py check --database default`.",
                id="dlq.W001",
            )
        ]


def _of_info(info: dict[str, Any]) -> Iterator[CheckMessage]:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < LEAST_VERSION:
        yield Error(f"Redis {info['redis_version']} is too old.", hint="Use 6.2 or later.", id="dlq.E001")
    if not info.get("aof_enabled"):
        yield Error(
            "Redis keeps no append-only file: a restart loses what is parked.",
            hint="Set `appendonly yes` and `appendfsync always`.",
            id="dlq.E002",
        )
    if info.get("maxmemory_policy") != "noeviction":
        yield Error(
            f"Redis may evict the queue: maxmemory-policy is {info.get('maxmemory_policy')}.",
            hint="Set `maxmemory-policy noeviction`; give the cache a Redis of its own.",
            id="dlq.E003",
        )
    if info.get("role") != "master":
        hint = "Name the primary; or its Sentinels, which know who it is after a failover (docs/connections.md)."
        yield Error("REDIS_URL names a replica.", hint=hint, id="dlq.E004")
    if info.get("aof_last_write_status", "ok") != "ok":
        yield Error("Redis could not write its append-only file.", hint="Is its disk full?", id="dlq.E005")


def _of_failover(at: address.Address, info: dict[str, Any], connection: redis.Redis) -> Iterator[CheckMessage]:
    replicas = int(info.get("connected_slaves", 0))
    if not settings.DLQ_MIN_REPLICAS and (at.fails_over or replicas):
        yield Warning(
            "A failover of Redis may lose what was answered 202: DLQ_MIN_REPLICAS is 0.",
            hint="Set DLQ_MIN_REPLICAS to 1, or to the number of replicas (docs/connections.md).",
            id="dlq.W005",
        )
    if replicas < settings.DLQ_MIN_REPLICAS:
        yield Warning(
            f"Nothing can be parked: DLQ_MIN_REPLICAS is {settings.DLQ_MIN_REPLICAS}, and {replicas} replicas follow.",
            hint="Start the replicas. Until then events go to the spool, where there is one, or are answered 503.",
            id="dlq.W006",
        )
    if at.fails_over and _number(connection, "min-replicas-to-write") == 0:
        yield Warning(
            "A primary that is cut off goes on taking writes that a failover throws away: min-replicas-to-write is 0.",
            hint="Set `min-replicas-to-write 1` and `min-replicas-max-lag 10`. What is parked is safe by "
            "DLQ_MIN_REPLICAS; pauses, counters and what writers park by themselves are not.",
            id="dlq.W007",
        )


def _number(connection: redis.Redis, name: str) -> int | None:
    """Return a number of the configuration; None where it may not be read."""
    try:
        text = connection.config_get(name).get(name)
        return None if text is None else int(text)
    except redis.ResponseError:
        return None


def _of_config(connection: redis.Redis) -> Iterator[CheckMessage]:
    try:
        fsync = connection.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # managed services forbid CONFIG
        yield Warning("appendfsync could not be read.", hint="Make sure that it is `always`.", id=NOT_READ)
        return
    if fsync != "always":
        yield Warning(
            f"appendfsync is {fsync}: a power loss loses up to two seconds of parked events.",
            hint="Set `appendfsync always`.",
            id="dlq.W003",
        )
