"""The queue is reached by each form of an address, and follows its primary without a restart."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from auditsite.embedded import ServerFailed
from bench.load import wait_until
from dlq import servers
from dlq.errors import Refused
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked
from tests.dlq.fleets import Cluster, PortRedis, SentinelFleet, certificates

TIMEOUT_S = 2.0
PASSWORD = "p@ss/w:o#r?d%"
ENCODED = "p%40ss%2Fw%3Ao%23r%3Fd%25"


def a_queue(url: str, prefix: str = "dlq") -> Stream:
    return Stream(servers.client(url, tag=prefix, timeout_s=TIMEOUT_S), prefix)


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelFleet]:
    fleet = SentinelFleet(tmp_path)
    fleet.start()
    yield fleet
    fleet.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.start()
    yield made
    made.stop()


def parks(queue: Stream) -> bool:
    try:
        return queue.park([a_document()], reason="tests").outcomes == ["parked"]
    except Refused:
        return False


@pytest.mark.slow
def test_a_failover_is_followed_and_loses_nothing_that_was_parked(sentinels: SentinelFleet, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 1
    queue = a_queue(sentinels.url())
    before = [message.key for message in parked(queue, 20)]
    # Two connections, so that one is idle in the pool while the other notices.
    with servers.client(sentinels.url(), tag="dlq", timeout_s=TIMEOUT_S) as other:
        assert other.ping()
        sentinels.servers[0].kill()
        settings.DLQ_MIN_REPLICAS = 0  # of two servers one is left
        wait_until(lambda: parks(queue), seconds=60, what="the new primary")
        assert {message.key for message in queue.pages.page(limit=99)} >= set(before)
        wait_until(lambda: other.info("replication")["role"] == "master", seconds=60, what="the other client")


@pytest.mark.slow
def test_what_was_parked_while_the_primary_changed_is_on_the_new_one(sentinels: SentinelFleet, settings: Any) -> None:
    """Here the primary of before goes on taking writes for a moment: WAIT tells them from those that stay."""
    settings.DLQ_MIN_REPLICAS = 1
    queue, kept = a_queue(sentinels.url()), set()
    sentinels.fail_over()
    with sentinels.servers[0].client() as before, sentinels.servers[1].client() as promoted:

        def parks_on_the_new_one() -> bool:
            document = a_document()
            with suppress(Refused):
                queue.park([document], reason="tests")
                kept.add(document.key)
                return is_promoted() and promoted.xlen(queue.keys.stream) > 10
            if is_promoted():
                # It was refused where nobody follows: Sentinel would have the one of before follow eight seconds later.
                before.replicaof("127.0.0.1", sentinels.servers[1].port)
            return False

        def is_promoted() -> bool:
            return bool(promoted.info("replication")["role"] == "master")

        wait_until(parks_on_the_new_one, seconds=60, what="the new primary")
        new = Stream(promoted, "dlq")
        assert kept <= {message.key for message in new.pages.page(limit=100_000)}


@pytest.mark.slow
def test_scripts_on_a_replica_are_refused_and_the_connection_is_made_anew(tmp_path: Path) -> None:
    """Also without Sentinels: the name of a managed service leads to another server after its failover."""
    server = PortRedis(tmp_path / "one")
    server.start()
    try:
        queue = a_queue(f"redis://{server.place}/0")
        assert parks(queue)
        with server.client() as client:
            first: Any = client.info("stats")["total_connections_received"]
            client.replicaof("127.0.0.1", 1)
            with pytest.raises(Refused, match="ConnectionError"):
                queue.park([a_document()], reason="tests")
            client.replicaof("NO", "ONE")
            assert parks(queue)
            # One for that, none for this client's own questions.
            assert client.info("stats")["total_connections_received"] == first + 1
    finally:
        server.stop()


@pytest.mark.slow
def test_silent_sentinels_are_passed_over_and_named_where_all_are_silent(sentinels: SentinelFleet) -> None:
    sentinels.sentinels[0].kill()
    assert parks(a_queue(sentinels.url()))
    for sentinel in sentinels.sentinels[1:]:
        sentinel.kill()
    with pytest.raises(Refused, match="NotFound") as caught:
        a_queue(sentinels.url()).park([a_document()], reason="tests")
    for sentinel in sentinels.sentinels:
        assert f"{sentinel.place} (ConnectionError)" in str(caught.value.__cause__)


@pytest.mark.slow
def test_a_sentinel_that_knows_the_primary_of_before_is_not_believed(tmp_path: Path) -> None:
    """It was cut off when the others agreed on another; it is the first of the address, and answers."""
    before = SentinelFleet(tmp_path / "before", replicas=0, sentinels=1)
    now = SentinelFleet(tmp_path / "now", replicas=1, sentinels=1)
    try:
        before.start()
        now.start()
        now.fail_over()
        with now.sentinels[0].client() as client:
            wait_until(lambda: epoch_of(client) > 0, seconds=30, what="the failover")
        queue = a_queue(f"redis+sentinel://{before.sentinels[0].place},{now.sentinels[0].place}/queue")
        wait_until(lambda: parks(queue), seconds=60, what="the new primary")
        with before.servers[0].client() as client:
            assert not client.exists(queue.keys.stream)
    finally:
        now.stop()
        before.stop()


def epoch_of(sentinel: Any) -> int:
    return int(sentinel.sentinel_master("queue")["config-epoch"])


@pytest.mark.slow
def test_a_service_that_no_sentinel_knows_is_named(sentinels: SentinelFleet) -> None:
    with pytest.raises(Refused, match="NotFound") as caught:
        a_queue(sentinels.url(path="/other")).park([a_document()], reason="tests")
    assert "No such master with that name" in str(caught.value.__cause__)


@pytest.mark.slow
def test_any_character_may_be_in_a_password(tmp_path: Path) -> None:
    server = PortRedis(tmp_path / "one")
    server.start()
    try:
        with server.client() as client:
            client.acl_setuser("us@er", enabled=True, passwords=[f"+{PASSWORD}"], categories=["+@all"], keys=["*"])
        assert parks(a_queue(f"redis://us%40er:{ENCODED}@{server.place}/0"))
        with pytest.raises(Refused, match="AuthenticationError"):
            a_queue(f"redis://us%40er:wrong@{server.place}/0").park([a_document()], reason="tests")
    finally:
        server.stop()


@pytest.mark.slow
def test_sentinels_have_a_password_of_their_own(tmp_path: Path) -> None:
    fleet = SentinelFleet(tmp_path, replicas=0, sentinels=1)
    fleet.start()
    try:
        with fleet.sentinels[0].client() as client:
            client.execute_command("ACL", "SETUSER", "asks", "on", f">{PASSWORD}", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "off")
        assert parks(a_queue(fleet.url(query=f"?sentinel_username=asks&sentinel_password={ENCODED}")))
        with pytest.raises(Refused, match="NotFound") as caught:
            a_queue(fleet.url()).park([a_document()], reason="tests")
        assert "AuthenticationError" in str(caught.value.__cause__)
    finally:
        fleet.stop()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[PortRedis, Path]]:
    """A server that speaks TLS alone, to clients with a certificate."""
    folder = certificates(tmp_path / "certificates")
    server = PortRedis(tmp_path / "tls", program=shutil.which("redis-server"))
    files = {"tls_cert_file": "server.crt", "tls_key_file": "server.key", "tls_ca_cert_file": "ca.crt"}
    server.options |= {name: str(folder / file) for name, file in files.items()}
    server.options |= {"port": "0", "tls_port": str(server.port), "tls_auth_clients": "yes"}
    try:
        server.start()
    except ServerFailed:
        server.stop()
        pytest.skip("needs a server that knows TLS: apt-get install redis-server")
    yield server, folder
    server.stop()


@pytest.mark.slow
def test_tls_needs_the_authority_and_the_certificate_of_the_client(encrypted: tuple[PortRedis, Path]) -> None:
    server, folder = encrypted
    authority, own = (
        f"ssl_ca_certs={folder}/ca.crt",
        f"ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key",
    )
    assert parks(a_queue(f"rediss://{server.place}/0?{authority}&{own}"))
    for query in (authority, own, ""):
        with pytest.raises(Refused, match="ConnectionError"):
            a_queue(f"rediss://{server.place}/0?{query}").park([a_document()], reason="tests")


@pytest.mark.slow
def test_a_cluster_has_the_queue_on_one_server_and_follows_its_failover(cluster: Cluster, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 1
    queue = a_queue(cluster.url)
    keys = [message.key for message in parked(queue, 20)]
    claimed = queue.claim(5)
    assert queue.acknowledge(claimed, "drained") == 5
    cluster.owner("dlq").kill()
    settings.DLQ_MIN_REPLICAS = 0  # of the two servers of these slots one is left
    wait_until(lambda: parks(queue), seconds=60, what="the new owner of the slots")
    left = {message.key for message in queue.pages.page(limit=99)}
    assert left >= set(keys) - {message.key for message in claimed}
    assert not left & {message.key for message in claimed}


@pytest.mark.slow
def test_a_cluster_whose_slots_move_is_followed(cluster: Cluster) -> None:
    queue = a_queue(cluster.url)
    assert parks(queue)
    owner = cluster.owner("dlq")
    other = next(server for server in cluster.servers[:3] if server is not owner)
    cluster.move("dlq", owner, other)
    wait_until(lambda: parks(queue), seconds=60, what="the new owner of the slot")
    assert cluster.owner("dlq") is other
    assert len(queue.pages.page(limit=9)) == 2
