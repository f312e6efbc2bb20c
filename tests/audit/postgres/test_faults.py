"""Whose fault a failed write is: the table of the reference, row by row."""

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from audit.postgres.faults import Fault, fault, headline


def of_state(sqlstate: str) -> psycopg.Error:
    return psycopg.errors.lookup(sqlstate)("said the server")


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection refused"),
        psycopg.OperationalError("the connection is closed"),
        PoolTimeout("no connection in time"),
        *map(
            of_state,
            ("57P01", "57P02", "57P03", "25006", "53100", "53200", "53300", "08006", "58030", "XX000"),
        ),
    ],
    ids=str,
)
def test_a_server_that_cannot_store_is_down(error: Exception) -> None:
    assert fault(error) is Fault.DOWN


@pytest.mark.parametrize("sqlstate", ["57014", "55P03", "25P03", "25P04", "40P01", "40001"])
def test_a_write_given_up_is_busy(sqlstate: str) -> None:
    assert fault(of_state(sqlstate)) is Fault.BUSY


@pytest.mark.parametrize(
    "sqlstate",
    [
        "42P01",
        "42703",
        "42501",
        "23514",
        "23505",
        "23502",
        "P0001",
        "54000",
        "22001",
        "22003",
        "22007",
        "22008",
        "22P02",
    ],
)
def test_what_is_not_known_to_be_the_senders_fault_is_ours(sqlstate: str) -> None:
    """Validation accepted the event: a column too narrow or unknown is code before its migration, or the reverse."""
    assert fault(of_state(sqlstate)) is Fault.REFUSED


@pytest.mark.parametrize("sqlstate", ["22P05", "22021"])
def test_only_the_short_list_is_the_senders_fault(sqlstate: str) -> None:
    assert fault(of_state(sqlstate)) is Fault.SENDER


def test_the_headline_quotes_no_event() -> None:
    error = psycopg.errors.NotNullViolation('null value in column "version"\nDETAIL:  Failing row contains (secret).')
    assert headline(error) == 'NotNullViolation: null value in column "version"'


def test_a_bug_of_ours_is_never_the_senders_fault() -> None:
    assert fault(KeyError("x")) is Fault.REFUSED
    assert fault(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates")) is Fault.REFUSED
