"""System checks say what keeps Sentinels from leading to the primary, and what a failover would lose."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlq.checks import durability
from tests.dlq.fleets import SERVICE, PortRedis, SentinelFleet


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelFleet]:
    # A busy machine makes no Sentinel call another silent.
    patient = f"sentinel down-after-milliseconds {SERVICE} 60000"
    fleet = SentinelFleet(tmp_path, lines=[patient], min_replicas_to_write="1")
    fleet.start()
    yield fleet
    fleet.stop()


def found(url: str, settings: Any) -> dict[str, str]:
    settings.REDIS_URL = url
    return {str(message.id): message.msg for message in durability(None, databases=["default"])}


@pytest.mark.slow
def test_what_keeps_a_failover_from_being_followed_is_named(sentinels: SentinelFleet, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 1
    assert found(sentinels.url(), settings) == {}
    settings.DLQ_MIN_REPLICAS = 0
    assert found(sentinels.url(), settings).keys() == {"dlq.W005"}
    settings.DLQ_MIN_REPLICAS = 2
    assert "is 2, and 1 replicas follow" in found(sentinels.url(), settings)["dlq.W006"]
    settings.DLQ_MIN_REPLICAS = 1
    assert "'other' is known" in found(sentinels.url(path="/other"), settings)["dlq.E010"]
    with sentinels.servers[0].client() as client:
        client.config_set("min-replicas-to-write", 0)
    assert found(sentinels.url(), settings).keys() == {"dlq.W007"}


@pytest.mark.slow
def test_sentinels_that_cannot_agree_are_named(sentinels: SentinelFleet, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 1
    last = sentinels.sentinels[2]
    with last.client() as client:
        client.execute_command("SENTINEL", "SET", "queue", "quorum", "4")
    assert f"{last.place} says " in found(sentinels.url(), settings)["dlq.E011"]
    last.kill()
    findings = found(sentinels.url(), settings)
    assert findings == {"dlq.W008": f"1 of 3 Sentinels of REDIS_URL do not answer: {last.place} (ConnectionError)."}
    for sentinel in sentinels.sentinels[:2]:
        sentinel.kill()
    assert found(sentinels.url(), settings).keys() == {"dlq.E009"}


@pytest.mark.slow
def test_a_replica_of_a_single_address_and_files_that_are_missing_are_named(tmp_path: Path, settings: Any) -> None:
    settings.DLQ_MIN_REPLICAS = 0
    settings.REDIS_URL = "rediss://127.0.0.1:1/0?ssl_ca_certs=/nowhere/ca.crt"
    (finding,) = durability(None, databases=["default"])
    assert (finding.id, finding.msg) == (
        "dlq.E008",
        "This process cannot read what REDIS_URL names: ssl_ca_certs /nowhere/ca.crt.",
    )
    server = PortRedis(tmp_path / "one")
    server.start()
    try:
        with server.client() as client:
            client.replicaof("127.0.0.1", 1)
        assert found(f"redis://{server.place}/0", settings).keys() == {"dlq.E004"}
    finally:
        server.stop()
