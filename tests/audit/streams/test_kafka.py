"""Streams to Kafka, on a real broker: each record at least once, in the order of the log within its partition."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from audit.errors import Invalid
from audit.streams import kinds
from audit.streams import stream as streaming
from audit.streams.stream import GaveUp
from audit.streams.targets import kafka
from auditsite import self_signed
from bench.ports import free_port
from tests.audit.streams import tansu
from tests.audit.streams.conftest import Scene
from tests.audit.streams.killed import killed_at

pytestmark = pytest.mark.slow

confluent = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: the extra `kafka`")

PARTITIONS = 3


class Topic:
    """A topic of one test on the broker."""

    def __init__(self, servers: str):
        from confluent_kafka.admin import AdminClient, NewTopic

        self.servers, self.name = servers, f"audit-{secrets.token_hex(4)}"
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic(self.name, PARTITIONS, 1)])[self.name].result(30)

    def messages(self, count: int) -> list[Any]:
        """All messages, partition after partition, once there are so many."""
        consumer = confluent.Consumer({"bootstrap.servers": self.servers, "group.id": secrets.token_hex(4)})
        consumer.assign([confluent.TopicPartition(self.name, number, 0) for number in range(PARTITIONS)])
        found: list[Any] = []
        try:
            while len(found) < count:
                message = consumer.poll(30)
                assert message is not None, f"{len(found)} messages of {count}"
                assert message.error() is None, message.error()
                found.append(message)
            assert consumer.poll(0.2) is None, f"more than {count} messages"
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))


@pytest.fixture
def topic() -> Topic:
    if tansu.program() is None:
        pytest.skip(tansu.INSTALL)
    return Topic(tansu.started().servers)


def to_topic(scene: Scene, topic: Topic, **more: Any) -> None:
    members = {"servers": topic.servers, "topic": topic.name, "tls": False, "batch_records": 3, "timeout_s": 20}
    scene.has(type="kafka", **(members | more))


def leaf_of(message: Any) -> int:
    return int(json.loads(message.value())["leaf_index"])


def test_a_topic_has_every_record_once_and_each_partition_in_the_order_of_the_log(scene: Scene, topic: Topic) -> None:
    to_topic(scene, topic)
    for _ in range(4):  # four correlations
        scene.records(3)
    scene.once()
    last = scene.row().position
    messages = topic.messages(last - scene.first)
    assert sorted(map(leaf_of, messages)) == [*range(scene.first, last)]
    for number in range(PARTITIONS):
        leaves = [leaf_of(message) for message in messages if message.partition() == number]
        assert leaves == sorted(leaves)
    partitions: dict[bytes, set[int]] = {}
    for message in messages:
        document = json.loads(message.value())
        assert message.key().decode() == (document["correlation_id"] or document["event_id"])
        assert dict(message.headers()) == {"leaf_index": str(document["leaf_index"]).encode()}
        partitions.setdefault(message.key(), set()).add(message.partition())
    assert all(len(places) == 1 for places in partitions.values()), "what has one key is in one partition"


def test_the_key_is_the_writer_where_that_is_asked_for(scene: Scene, topic: Topic) -> None:
    to_topic(scene, topic, key="writer")
    scene.records(2)
    scene.once()
    assert b"tests" in {message.key() for message in topic.messages(scene.row().position - scene.first)}


@pytest.mark.parametrize("step", ["before a batch is sent", "before the cursor moves"])
def test_a_streamer_that_is_killed_leaves_nothing_out(scene: Scene, topic: Topic, step: str) -> None:
    to_topic(scene, topic)
    scene.records(14)
    killed_at(step, scene)
    scene.once()
    last = scene.row().position
    again = 3 if step == "before the cursor moves" else 0
    leaves = [leaf_of(message) for message in topic.messages(last - scene.first + again)]
    assert {*leaves} == {*range(scene.first, last)}


@pytest.mark.long  # a cursor waits for the broker's confirmation in another
def test_a_broker_that_is_away_is_waited_for_and_nothing_is_lost(scene: Scene, topic: Topic, tmp_path: Path) -> None:
    port = free_port()
    to_topic(scene, topic, servers=f"127.0.0.1:{port}", timeout_s=1)
    scene.records(2)
    with pytest.raises(GaveUp, match=r"_MSG_TIMED_OUT|confirmed 0 of 2"):
        scene.once()
    assert scene.row().position == scene.first
    to_topic(scene, topic)
    scene.once()
    assert len(topic.messages(scene.row().position - scene.first)) >= 2


def test_a_cursor_does_not_move_before_the_broker_has_confirmed(
    scene: Scene, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_topic(scene, topic, timeout_s=1)
    scene.records(2)
    monkeypatch.setattr(streaming, "TRIES", 2)
    started = tansu.started()
    started.freeze()
    try:
        with pytest.raises(GaveUp):
            scene.once()
        assert scene.row().position == scene.first
    finally:
        started.thaw()


def test_a_record_that_is_larger_than_a_message_is_a_reference(scene: Scene, topic: Topic) -> None:
    to_topic(scene, topic, message_bytes=20_000)
    scene.records(1, event_data={"text": "x" * 30_000})
    scene.records(1)
    scene.once()
    left_out = [
        document
        for message in topic.messages(scene.row().position - scene.first)
        if "left_out" in (document := json.loads(message.value()))
    ]
    assert len(left_out) == 1 and "bytes, and a message has 20,000 at most" in left_out[0]["left_out"]
    assert scene.row().refused == 1


def test_a_library_that_is_missing_is_named(scene: Scene, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    to_topic(scene, topic)
    scene.records(1)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(GaveUp, match="install the extra `kafka`"):
        scene.once()


def test_what_librdkafka_is_told_waits_for_all_replicas_and_checks_certificates(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(self_signed.make("kafka.example.com")[0], encoding="utf-8")
    monkeypatch.setenv("PASSWORD", "a-word")
    scene.has(
        type="kafka",
        servers="k:9093",
        topic="t",
        sasl="SCRAM-SHA-512",
        username="me",
        password_env="PASSWORD",
        ca_file=str(authority),
    )
    told = kinds.plan_of(scene.name).target._configuration()
    expected = {
        "acks": "all",
        "enable.idempotence": True,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority),
    }
    expected |= {"ssl.endpoint.identification.algorithm": "https", "sasl.mechanisms": "SCRAM-SHA-512"}
    expected |= {"sasl.username": "me", "sasl.password": "a-word"}
    assert expected.items() <= told.items()
    confluent.Producer(told, logger=kafka._silent())  # librdkafka knows each name


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, "servers"),
        ({"servers": "k:9092"}, "topic"),
        ({"servers": "k", "topic": "t", "key": "actor"}, "take one of correlation, writer, event"),
        ({"servers": "k", "topic": "t", "sasl": "PLAIN", "username": "me"}, "password_file: is missing"),
        (
            {"servers": "k", "topic": "t", "sasl": "PLAIN", "username": "me", "password_env": "X", "tls": False},
            "the password would go in the clear",
        ),
        ({"servers": "k", "topic": "t", "username": "me"}, "stands beside sasl"),
        ({"servers": "k", "topic": "t", "password": "word"}, "must not stand in the file"),
    ],
)
def test_what_a_target_cannot_be_is_named(scene: Scene, members: dict[str, Any], says: str) -> None:
    scene.has(type="kafka", **members)
    with pytest.raises(Invalid, match=says):
        kinds.plan_of(scene.name)
