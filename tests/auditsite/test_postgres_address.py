"""An address of PostgreSQL is read as libpq reads it, or refused in words that say why, without its secrets."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from auditsite.postgres_address import of_libpq, read
from auditsite.settings import database

SECRET, ENCODED = "p@ss/w:o#r?d%", "p%40ss%2Fw%3Ao%23r%3Fd%25"


def test_several_hosts_lead_to_the_one_that_takes_writes() -> None:
    assert read("DATABASE_URL", f"postgresql://us%40er:{ENCODED}@one:6432,two/audit?sslmode=verify-full") == {
        "user": "us@er",
        "password": SECRET,
        "host": "one,two",
        "port": "6432,",
        "dbname": "audit",
        "sslmode": "verify-full",
        "target_session_attrs": "read-write",
    }
    assert read("X", "postgres://one,two/a?target_session_attrs=primary")["target_session_attrs"] == "primary"
    assert "target_session_attrs" not in read("X", "postgres://one/a")


def test_parameters_reach_the_connection_and_ours_win(monkeypatch: pytest.MonkeyPatch) -> None:
    query = "connect_timeout=7&sslrootcert=/ca&sslcert=/crt&sslkey=/key&options=-c%20statement_timeout%3D1"
    monkeypatch.setenv("SOME_URL", f"postgresql://user:{ENCODED}@one,two:6000/audit?{query}")
    config = database("SOME_URL", 30_000)
    assert (config["HOST"], config["PORT"], config["PASSWORD"]) == ("one,two", ",6000", SECRET)
    assert config["OPTIONS"] == {
        "connect_timeout": "7",
        "application_name": "auditsite",
        "sslrootcert": "/ca",
        "sslcert": "/crt",
        "sslkey": "/key",
        "target_session_attrs": "read-write",
        "options": "-c statement_timeout=1 -c statement_timeout=30000 -c synchronous_commit=on",
        "patience": 31.0,
    }


def test_a_backup_of_several_hosts_is_of_the_one_that_takes_writes() -> None:
    assert of_libpq("X", "") == ""
    text = of_libpq("X", "postgresql://us%40er@one,two/")
    assert text.startswith("user=us@er host=one,two ") and text.endswith(" target_session_attrs=read-write")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://one/audit", "must begin with postgresql://"),
        (f"postgresql://user:{SECRET}@one/audit", "write %40 for @"),
        ("postgresql://user:p/ass@one/audit", "a port that is no number"),
        ("postgresql://user@one:port/audit", "a port that is no number"),
        ("postgresql://one/audit?sslrootcerts=/ca", "of its parameters see"),
        (
            "postgresql://one:1,two:2,three:3/audit?target_session_attrs=any",
            "hosts and target_session_attrs=any",
        ),
        ("postgresql://one,two,three/audit?port=1,2", "3 hosts and 2 ports"),
        ("postgresql://one/audit?sslmode=verify-ful", "none of .*: set verify-full"),
    ],
)
def test_what_cannot_be_read_is_said(url: str, words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words) as caught:
        read("DATABASE_URL", url)
    assert "DATABASE_URL" in str(caught.value)
    assert "ass@" not in str(caught.value) and "o#r" not in str(caught.value)
