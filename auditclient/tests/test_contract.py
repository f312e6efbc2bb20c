"""The entries of the dead letter queue are those of the contract, which the store has as well."""

import pytest

from auditclient.contract import CONTRACT, VERSION, Signer, inbox_key


@pytest.mark.parametrize("vector", CONTRACT["vectors"], ids=lambda vector: str(vector["payload"])[-24:])
def test_an_entry_is_that_of_the_example(vector: dict[str, str]) -> None:
    entry = Signer(vector["api_key"]).sign(vector["payload"].encode(), vector["version"])
    assert entry.decode() == vector["entry"]


def test_an_entry_holds_the_event_as_it_is() -> None:
    event = '{"event_id":"x","event_data":{"who":"Žofie"}}'.encode()
    head, payload = Signer("key").entry(event).split(b"\n")
    assert head.startswith(VERSION.encode() + b" ") and payload.startswith(b'{"event":' + event + b',"client":')


def test_entries_go_to_the_inbox_of_the_stores_prefix() -> None:
    assert inbox_key("prod") == "{prod}:inbox"
