"""The handler for `logging`: what is marked is an event, everything else is passed over, and a failure is told."""

import logging
from collections.abc import Iterator

import pytest
from test_client import events_in

from auditclient import Client
from auditclient.log_handler import AuditHandler

MARKED = {
    "audit": {"event_type": "payments.refund.approved", "correlation_id": "order-7", "event_data": {"amount": 25}},
}


@pytest.fixture
def payments(client: Client) -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("payments"), AuditHandler(client)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)


def test_what_is_marked_is_an_event_with_message_and_severity(payments: logging.Logger, client: Client) -> None:
    payments.warning("approved %s", "order-7", extra=MARKED)
    (event,) = events_in(client.config.spool_dir)
    assert (event["event_type"], event["correlation_id"], event["severity"]) == (
        "payments.refund.approved",
        "order-7",
        "warning",
    )
    assert event["event_data"] == {"message": "approved order-7", "logger": "payments", "amount": 25}


def test_everything_else_is_passed_over(payments: logging.Logger, client: Client) -> None:
    payments.error("no event")
    own = logging.getLogger("httpx.requests")
    own.addHandler(payments.handlers[0])
    own.error("it would go round and round", extra=MARKED)
    own.removeHandler(payments.handlers[0])
    assert client.counts["recorded"] == 0


def test_what_cannot_be_kept_is_told_as_logging_tells_it(
    payments: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    payments.info("broken", extra={"audit": {"event_type": "", "correlation_id": "order-7"}})
    assert "--- Logging error ---" in capsys.readouterr().err
