"""Parked means that as many replicas have it as are asked for, also for what is sent again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from auditsite.embedded import Redis
from bench.load import wait_until
from bench.ports import free_port
from dlq.errors import Refused
from dlq.stream import Stream
from tests.dlq.conftest import a_document


class ReplicatedRedis:
    """A server and its replica, both real, with a network between them that a test may take away."""

    def __init__(self, main: Redis, folder: Path, program: str):
        port = free_port()
        self.main = main
        self.replica = Redis(folder / "replica", program=program)
        self.replica.start()
        command = [sys.executable, "-m", "bench.proxy", str(port), str(main.socket)]
        self._proxy = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._client: Any = redis.Redis.from_url(self.replica.url())
        with redis.Redis.from_url(main.url()) as client:
            client.config_set("repl-diskless-sync-delay", 0)  # it would wait 5 s for other replicas to come
        self._client.replicaof("127.0.0.1", port)
        self.wait_for_replica()

    def wait_for_replica(self) -> None:
        """Return when the replica has all that the server has."""
        wait_until(self._in_step, seconds=20, what="the replica")

    def network(self, order: str) -> None:
        """Have the network "pass", or swallow everything: "hole"."""
        assert self._proxy.stdin is not None
        self._proxy.stdin.write(f"{order}\n".encode())
        self._proxy.stdin.flush()

    def fail_over(self) -> None:
        """The server dies, and the replica takes its place."""
        self.main.kill()
        self._client.replicaof("NO", "ONE")

    def stop(self) -> None:
        """End the replica and the network."""
        self._client.close()
        self._proxy.kill()
        self._proxy.communicate()
        self.replica.stop()

    def _in_step(self) -> bool:
        with redis.Redis.from_url(self.main.url()) as main:
            behind = main.info("replication")
        here = self._client.info("replication")
        return bool(
            here["master_link_status"] == "up"
            and here["master_repl_offset"] == behind["master_repl_offset"]
            and behind["connected_slaves"] == 1
            and behind["slave0"]["state"] == "online"
        )


@pytest.fixture
def replicated(own_redis: Redis, tmp_path: Path) -> Iterator[ReplicatedRedis]:
    pair = ReplicatedRedis(own_redis, tmp_path, own_redis.program)
    yield pair
    pair.stop()


@pytest.fixture
def queue(replicated: ReplicatedRedis, settings: Any) -> Iterator[Stream]:
    """The queue on the server, where one replica is asked for."""
    settings.DLQ_MIN_REPLICAS = 1
    with redis.Redis.from_url(replicated.main.url()) as client:
        yield Stream(client, "replicated")


@pytest.mark.slow
def test_what_no_replica_has_is_refused_however_often_it_is_sent(replicated: ReplicatedRedis, queue: Stream) -> None:
    reached, cut_off = a_document(), a_document()
    assert queue.park([reached], reason="tests").outcomes == ["parked"]
    replicated.network("hole")
    with pytest.raises(Refused, match="0 replicas confirmed"):
        queue.park([cut_off], reason="tests")
    with redis.Redis.from_url(replicated.main.url()) as client:
        # Sent again over another connection, which has written nothing yet: WAIT is about its own last write.
        for _ in range(2):
            with pytest.raises(Refused, match="0 replicas confirmed"):
                Stream(client, "replicated").park([cut_off], reason="tests")
    replicated.fail_over()
    with redis.Redis.from_url(replicated.replica.url()) as client:
        promoted = Stream(client, "replicated")
        assert [message.key for message in promoted.pages.page(limit=9)] == [reached.key]


@pytest.mark.slow
def test_what_was_refused_is_confirmed_when_the_replica_is_back(replicated: ReplicatedRedis, queue: Stream) -> None:
    document = a_document()
    replicated.network("hole")
    with pytest.raises(Refused, match="0 replicas confirmed"):
        queue.park([document], reason="tests")
    replicated.network("pass")
    replicated.wait_for_replica()
    assert queue.park([document], reason="tests").outcomes == ["duplicate"]
    replicated.fail_over()
    with redis.Redis.from_url(replicated.replica.url()) as client:
        assert Stream(client, "replicated").pages.find(document.key) is not None


@pytest.mark.slow
def test_more_replicas_than_there_are_refuse(replicated: ReplicatedRedis, queue: Stream, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 2
    with pytest.raises(Refused, match="1 replicas confirmed"):
        queue.park([a_document()], reason="tests")


@pytest.mark.slow
def test_a_replica_that_does_not_write_to_its_disk_does_not_count(replicated: ReplicatedRedis, queue: Stream) -> None:
    with redis.Redis.from_url(replicated.replica.url()) as client:
        client.config_set("appendonly", "no")
    if queue.waits_for_disks():
        with pytest.raises(Refused, match="0 replicas confirmed"):
            queue.park([a_document()], reason="tests")
    else:  # before Redis 7.2 nobody can ask: what the replica has in memory is all that is known
        assert queue.park([a_document()], reason="tests").outcomes == ["parked"]


def test_without_replicas_nothing_is_called_parked_where_they_are_asked_for(stream: Stream, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 1
    with pytest.raises(Refused, match="0 replicas confirmed what was parked, 1 must"):
        stream.park([a_document()], reason="tests")
    settings.DLQ_MIN_REPLICAS = 0
    assert stream.park([a_document()], reason="tests").outcomes == ["parked"]
