"""Of several servers the one that took writes last is asked first: a hung one before it would take the whole time."""

from typing import Any

import pytest

from audit.postgres import gateway


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({"host": "a,b,c"}, ("b", "5432"), {"host": "b,a,c", "port": "5432,5432,5432"}),
        ({"host": "a,b,c", "port": "6000"}, ("c", "6000"), {"host": "c,a,b", "port": "6000,6000,6000"}),
        ({"host": "a,a", "port": "1,2"}, ("a", "2"), {"host": "a,a", "port": "2,1"}),
        ({"host": "a,b"}, ("gone", "5432"), {"host": "a,b"}),
        ({"host": "a,b"}, None, {"host": "a,b"}),
        (
            {"host": "a,b", "hostaddr": "10.0.0.1,10.0.0.2"},
            ("b", "5432"),
            {"host": "a,b", "hostaddr": "10.0.0.1,10.0.0.2"},
        ),
    ],
)
def test_the_server_that_was_found_comes_first(
    given: dict[str, Any], found: tuple[str, str] | None, expected: dict[str, Any]
) -> None:
    assert gateway.first_of(given, found) == expected


def test_the_probe_notes_where_it_found_a_server_that_takes_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_found", {})
    gateway.probe()
    ((host, _),) = gateway._found.values()
    assert host == gateway._parameters()["host"]
