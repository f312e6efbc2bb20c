"""Redis dies in the middle of scripts. `make ghosts` does it a hundred times."""

from pathlib import Path

import pytest

from auditsite.embedded import Redis
from bench.load import wait_until
from bench.queue.ghosts import storm
from dlq import recovery
from dlq.stream import Stream
from tests.dlq.conftest import new_stream, parked


@pytest.mark.slow
def test_a_redis_that_is_killed_in_its_scripts_leaves_no_ghost(own_redis: Redis) -> None:
    result = storm(own_redis, kills=2)
    assert result.wrong == []
    assert result.promised
    assert result.removed


def append_only_file(server: Redis) -> Path:
    """The file that grows; Redis 7 and later have several."""
    return max(server.data.rglob("*.aof"), key=lambda path: (".incr." in path.name, path.stat().st_mtime))


def killed_in_the_middle_of_parking(server: Redis) -> Stream:
    """A queue with two messages; the third to fifth are half in the file. Redis runs again."""
    stream = new_stream(server.url())
    parked(stream, 2)
    parked(stream, 3)
    server.kill()
    file = append_only_file(server)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 200)
    server.start()
    assert stream.totals.depth() == 2
    return stream


def test_after_a_restart_the_file_is_written_anew_without_the_half_script(own_redis: Redis) -> None:
    stream = killed_in_the_middle_of_parking(own_redis)
    assert recovery.mend(stream) is None
    wait_until(lambda: not stream.redis.info("persistence")["aof_rewrite_in_progress"], seconds=20, what="a new file")
    parked(stream, 1)
    own_redis.kill()
    own_redis.start()
    assert stream.totals.stats().balanced
    assert stream.totals.depth() == 3


def test_a_half_script_that_was_carried_out_is_mended_once(own_redis: Redis) -> None:
    stream = killed_in_the_middle_of_parking(own_redis)
    parked(stream, 1)
    own_redis.kill()
    own_redis.start()
    whole = stream.totals.stats().balanced  # a Redis that cuts the file before the transaction leaves nothing to mend
    assert (recovery.mend(stream) is None) == whole
    assert stream.totals.stats().balanced
    assert stream.totals.depth() >= 3
    assert recovery.mend(stream) is None


def test_a_redis_that_may_not_rewrite_its_file_is_mended_all_the_same(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    parked(stream, 1)
    stream.redis.execute_command("ACL", "SETUSER", "default", "-bgrewriteaof")
    stream.redis.hincrby(stream.keys.stats, "enqueued", 1)
    rebuilt = recovery.mend(stream)
    assert rebuilt is not None
    assert rebuilt.messages == 1
    assert stream.totals.stats().lost == 1
