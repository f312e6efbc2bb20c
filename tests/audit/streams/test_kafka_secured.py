"""Streams to Kafka over TLS and with a password: who the broker is and who the streamer is are both checked."""

import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, TargetFault
from audit.streams.leaves import Line
from audit.streams.targets.kafka import KafkaTarget
from bench.ports import free_port
from tests.audit.streams import tansu
from tests.audit.streams.tls_end import TlsEnd, certificate
from tests.servers import FOLDER

pytestmark = pytest.mark.slow

confluent = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: the extra `kafka`")
admin = pytest.importorskip("confluent_kafka.admin")

BEFORE = free_port()
LINE = Line(7, json.dumps({"event_id": "0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11", "correlation_id": "rr-1"}).encode())


@pytest.fixture(scope="module")
def broker() -> Iterator[tansu.Broker]:
    """A broker that sends its clients to the end of TLS before it."""
    if tansu.program() is None:
        pytest.skip(tansu.INSTALL)
    started = tansu.Broker(FOLDER / "broker-behind-tls", reached_at=f"127.0.0.1:{BEFORE}")
    started.start()
    yield started
    started.stop()


Before = Callable[..., None]


@pytest.fixture
def before(broker: tansu.Broker) -> Iterator[Before]:
    """Puts an end of TLS before the broker that shows a certificate, and asks for one where `wants` says whose."""
    ends: list[TlsEnd] = []

    def put(shows: Path, wants: Path | None = None) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=wants)
        context.load_cert_chain(shows)
        context.verify_mode = ssl.CERT_NONE if wants is None else ssl.CERT_REQUIRED
        ends.append(TlsEnd(BEFORE, context, broker.port))

    yield put
    for end in ends:
        end.close()


def target(**more: Any) -> KafkaTarget:
    members = {"servers": f"127.0.0.1:{BEFORE}", "topic": f"audit-{secrets.token_hex(4)}", "timeout_s": 30}
    return KafkaTarget(Options("t", {**members, **more}))


def takes(made: KafkaTarget) -> Any:
    """What is in the topic after a record was sent, read with what the target connects with."""
    told = made._configuration()
    secured = {name: told[name] for name in told if name.startswith(("ssl.", "security.", "bootstrap."))}
    administrator = admin.AdminClient(secured)
    administrator.create_topics([admin.NewTopic(made._topic, 1, 1)])[made._topic].result(30)
    consumer = confluent.Consumer({**secured, "group.id": made._topic})
    try:
        made.send([LINE])
        consumer.assign([confluent.TopicPartition(made._topic, 0, 0)])
        message = consumer.poll(30)
        return None if message is None else message.value()
    finally:
        made.close()
        consumer.close()


def refusal(**more: Any) -> str:
    """What is said of a target that only a person can mend; it may take more than a second to find out."""
    made = target(timeout_s=1, **more)
    try:
        for _ in range(60):
            with pytest.raises(TargetFault) as fault:
                made.send([LINE])
            if isinstance(fault.value, Misconfigured):
                return str(fault.value)
    finally:
        made.close()
    raise AssertionError(f"it is waited for: {fault.value}")


def test_over_tls_the_broker_is_known_by_its_certificate(before: Before, tmp_path: Path) -> None:
    shown = certificate(tmp_path / "broker.pem", "broker", "127.0.0.1")
    before(shown)
    assert takes(target(ca_file=str(shown))) == LINE.body
    assert "certificate verify failed" in refusal()  # by the authorities of the system
    other = certificate(tmp_path / "other.pem", "broker", "127.0.0.1")
    assert "certificate verify failed" in refusal(ca_file=str(other))


def test_a_certificate_of_another_name_is_refused(before: Before, tmp_path: Path) -> None:
    shown = certificate(tmp_path / "broker.pem", "broker", "127.0.0.2")
    before(shown)
    assert "certificate verify failed" in refusal(ca_file=str(shown))


def test_a_broker_that_asks_for_a_certificate_is_shown_it(before: Before, tmp_path: Path) -> None:
    shown = certificate(tmp_path / "broker.pem", "broker", "127.0.0.1")
    own = certificate(tmp_path / "streamer.pem", "streamer")
    before(shown, wants=own)
    files = {"certificate_file": str(own), "certificate_key_file": str(own)}
    assert takes(target(ca_file=str(shown), **files)) == LINE.body
    assert "certificate required" in refusal(ca_file=str(shown))
    stranger = str(certificate(tmp_path / "stranger.pem", "stranger"))
    files = {"certificate_file": stranger, "certificate_key_file": stranger}
    assert "unknown ca" in refusal(ca_file=str(shown), **files)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_broker_that_does_not_know_the_user_is_a_case_for_a_person(
    mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tansu.program() is None:
        pytest.skip(tansu.INSTALL)
    asking = tansu.Broker(tmp_path / "asking", "--authentication")
    asking.start()
    monkeypatch.setenv("PASSWORD", "a-word")
    user = {"sasl": mechanism, "username": "me", "password_env": "PASSWORD", "tls": False}
    try:
        said = refusal(servers=asking.servers, **user)
    finally:
        asking.stop()
    assert "SASL SCRAM authentication failed" in said and "a-word" not in said


def test_that_no_broker_is_left_does_not_hide_why() -> None:
    made, errors = target(), confluent.KafkaError
    made._note(errors(errors._AUTHENTICATION, "unknown user"))
    made._note(errors(errors._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert made._why() == ": _AUTHENTICATION: unknown user"
