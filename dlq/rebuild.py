"""rebuild: make every index of the queue again from its stream."""

from dlq.stream import Stream, refusing

Rows = list[tuple[str, dict[bytes, bytes]]]


def rebuild(queue: Stream) -> int:
    """Bring all indexes to what the stream holds; return how many messages there are.

    Places are kept where they are known; what is in none is due at once. Histories are kept. Counters that
    were lost start again from what is there. Safe beside writers and drainers. Raises `Refused`.
    """
    count = 0
    for rows in queue.entries():
        _place(queue, rows)
        count += len(rows)
    for index in (queue.due, queue.leased, queue.dead):
        _drop_ghosts(queue, index)
    _settle(queue)
    return count


def _place(queue: Stream, rows: Rows) -> None:
    indexes = (queue.due, queue.leased, queue.dead)
    with refusing(), queue.redis.pipeline(transaction=True) as pipe:
        for message_id, _ in rows:
            for index in indexes:
                pipe.zscore(index, message_id)
        places = pipe.execute()
        for n, (message_id, fields) in enumerate(rows):
            if all(place is None for place in places[n * 3 : n * 3 + 3]):
                pipe.zadd(queue.due, {message_id: 0}, nx=True)
            if b"key" in fields:
                pipe.hset(queue.ids, fields[b"key"], message_id)
        pipe.execute()


def _drop_ghosts(queue: Stream, index: str) -> None:
    """Forget places of messages that are not in the stream."""
    with refusing():
        ids = [found.decode() for found, _ in queue.redis.zscan_iter(index, count=1000)]
    for first in range(0, len(ids), 1000):
        if ghosts := queue.missing(ids[first : first + 1000]):
            with refusing():
                queue.redis.zrem(index, *ghosts)


def _settle(queue: Stream) -> None:
    stats = queue.stats()
    if not stats.balanced:
        with refusing():
            queue.redis.hset(queue.stats_key, "enqueued", stats.gone + stats.depth)
