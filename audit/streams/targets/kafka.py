"""kafka: a record a message, in the order of the log within each partition; confluent-kafka is an extra.

The producer is idempotent and waits for all replicas (`acks=all`): what it tries again is there once. A batch is taken
when the brokers have confirmed each of its messages. Where one is not, the producer is given up with what it
still holds, and the next one sends the batch again.
"""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, RecordsRefused, TargetFault, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken

# What the producer holds at most: a batch has 64 MB at most.
QUEUE_KB, QUEUE_MESSAGES = 96 * 1024, 20_000
# Beside the line itself a message has its key and its headers.
OVERHEAD_BYTES = 1_024
KEYS = {"correlation": "correlation_id", "writer": "writer", "event": "event_id"}
# Codes of librdkafka that only a person can mend.
_FOR_A_PERSON = (
    *("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE"),
    *("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    *("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "INVALID_CONFIG", "_SSL", "_INVALID_ARG"),
)
# What OpenSSL says of a broker that refuses our certificate, or misses it: librdkafka calls it a broken connection.
_ALERT = "SSL alert number"
_TOO_LARGE = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE")


class KafkaTarget:
    """A topic. Used by one thread; the producer has threads of its own."""

    def __init__(self, options: Options):
        self._servers, self._topic = options.text("servers"), options.text("topic")
        self._key = KEYS[options.choice("key", "correlation", tuple(KEYS))]
        self._timeout_s = options.number("timeout_s", 30, least=1, most=600)
        self._most_bytes = options.integer("message_bytes", 1_000_000, least=2_048, most=64 * 1024 * 1024)
        self._compression = options.choice("compression", "zstd", ("none", "gzip", "snappy", "lz4", "zstd"))
        self._tls = options.flag("tls", True)
        self._ca_file = options.path("ca_file")
        self._certificate, self._certificate_key = (
            options.path("certificate_file"),
            options.path("certificate_key_file"),
        )
        self._mechanism = options.choice("sasl", "", ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
        self._username = options.text("username", "")
        self._password = options.secret("password", required=bool(self._mechanism))
        if bool(self._mechanism) != bool(self._username):
            raise options.fault("username", "stands beside sasl, or neither does")
        if self._mechanism == "PLAIN" and not self._tls:
            raise options.fault("tls", "must be true beside sasl = PLAIN: the password would go in the clear")
        self._producer: Any = None
        self._said = ""

    @property
    def place(self) -> str:
        return f"{self._servers} {self._topic}"

    def resume(self) -> Taken | None:
        """A topic cannot be asked which record is its newest: what was not noted is sent again."""
        return None

    def send(self, lines: Sequence[Line]) -> None:
        large = {
            line.leaf: f"it has {len(line.body):,} bytes, and a message has {self._most_bytes:,} at most"
            for line in lines
            if len(line.body) + OVERHEAD_BYTES > self._most_bytes
        }
        if large:
            raise RecordsRefused(large)
        producer, confirmed = self._connected(), [0]
        failed: dict[int, Any] = {}

        def delivered(error: Any, leaf: int) -> None:
            if error is None:
                confirmed[0] += 1
            else:
                failed.setdefault(leaf, error)

        kafka = import_module("confluent_kafka")
        try:
            for line in lines:
                self._produce(producer, line, delivered)
            producer.flush(self._timeout_s + 5)
        except kafka.KafkaException as error:
            raise self._fault(error.args[0]) from None
        except BufferError:
            raise Unavailable(f"{self.place} does not take messages as fast as they come{self._why()}") from None
        if failed:
            raise self._fault_of(failed)
        if confirmed[0] != len(lines):
            text = f"{self.place} confirmed {confirmed[0]} of {len(lines)} messages in time{self._why()}"
            raise Unavailable(text)

    def close(self) -> None:
        """Give up the producer with what it still holds: that is sent again by the next one."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.purge()
            producer.flush(1.0)

    def _produce(self, producer: Any, line: Line, delivered: Any) -> None:
        document = line.document()
        key = str(document.get(self._key) or document["event_id"]).encode()
        headers = [("leaf_index", str(line.leaf).encode())]
        leaf = line.leaf
        producer.produce(
            self._topic,
            value=line.body,
            key=key,
            headers=headers,
            on_delivery=lambda error, message: delivered(error, leaf),
        )
        producer.poll(0)

    def _connected(self) -> Any:
        if self._producer is None:
            try:
                kafka = import_module("confluent_kafka")
            except ImportError:
                text = "confluent-kafka is not installed: install the extra `kafka` (`pip install 'auditsite[kafka]'`)"
                raise Misconfigured(text) from None
            self._said = ""
            try:
                self._producer = kafka.Producer(self._configuration(), logger=_silent())
            except kafka.KafkaException as error:
                raise Misconfigured(f"{self.place}: the producer cannot be made: {error.args[0].str()}") from None
        return self._producer

    def _configuration(self) -> dict[str, Any]:
        """What librdkafka is told. Raises `Invalid` where the password cannot be read."""
        milliseconds = int(self._timeout_s * 1000)
        told: dict[str, Any] = {
            "bootstrap.servers": self._servers,
            "client.id": "auditsite",
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "acks": "all",
            "compression.type": self._compression,
            "message.max.bytes": self._most_bytes,
            "message.timeout.ms": milliseconds,
            "request.timeout.ms": min(milliseconds, 30_000),
            "socket.timeout.ms": max(min(milliseconds, 60_000), 1_000),
            "socket.connection.setup.timeout.ms": max(min(milliseconds, 30_000), 1_000),
            "queue.buffering.max.kbytes": QUEUE_KB,
            "queue.buffering.max.messages": QUEUE_MESSAGES,
            "linger.ms": 5,
            "security.protocol": f"{'SASL_' if self._mechanism else ''}{'SSL' if self._tls else 'PLAINTEXT'}",
            "error_cb": self._note,
        }
        if self._tls:
            files = {"ssl.ca.location": self._ca_file, "ssl.certificate.location": self._certificate}
            files["ssl.key.location"] = self._certificate_key
            told |= {name: str(path) for name, path in files.items() if path}
            told["ssl.endpoint.identification.algorithm"] = "https"
        if self._password is not None:
            told |= {"sasl.mechanisms": self._mechanism, "sasl.username": self._username}
            told["sasl.password"] = self._password.read()
        return told

    def _note(self, error: Any) -> None:
        """Keep the last reason that the producer gave for having no connection; that it has none is none."""
        if error.name() != "_ALL_BROKERS_DOWN":
            self._said = f"{error.name()}: {error.str()}"[:300]

    def _why(self) -> str:
        return f": {self._said}" if self._said else ""

    def _fault_of(self, failed: dict[int, Any]) -> TargetFault:
        large = {leaf: error.str() for leaf, error in failed.items() if error.name() in _TOO_LARGE}
        if large and len(large) == len(failed):
            # A broker refuses several messages at once, and does not say which.
            return RecordsRefused(large, is_sure=False)
        return self._fault(next(error for leaf, error in failed.items() if leaf not in large))

    def _fault(self, error: Any) -> TargetFault:
        text = f"{self.place}: {error.name()}: {error.str()}{self._why()}"
        is_lasting = error.name() in _FOR_A_PERSON or self._said.split(":")[0] in _FOR_A_PERSON or _ALERT in self._said
        return Misconfigured(text) if is_lasting else Unavailable(text)


def _silent() -> logging.Logger:
    """What librdkafka logs is told as faults, and stands nowhere else."""
    logger = logging.getLogger("audit.streams.kafka")
    logger.setLevel(logging.CRITICAL)
    return logger
