"""A certificate that the host signs for itself, until somebody gives one."""

import ssl
import tempfile
from datetime import timedelta

import pytest

from auditsite import self_signed


def test_a_client_that_was_given_it_believes_it() -> None:
    certificate, key = self_signed.make("audit.example.com")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cadata=certificate)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate + key)
        file.flush()
        server.load_cert_chain(file.name)
    for name in ("audit.example.com", "localhost", "127.0.0.1"):
        assert shake_hands(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "audit.example.org")


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    """Whether both sides agree, without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(5):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    return not ends


def test_it_is_made_again_before_it_ends_and_for_another_name() -> None:
    certificate, _ = self_signed.make("localhost")
    assert self_signed.is_due(None, "localhost") and self_signed.is_due(certificate, "audit.example.com")
    assert not self_signed.is_due(certificate, "localhost")


def test_one_that_ends_soon_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_signed, "LASTS", timedelta(days=89))
    certificate, _ = self_signed.make("localhost")
    assert self_signed.is_due(certificate, "localhost")
