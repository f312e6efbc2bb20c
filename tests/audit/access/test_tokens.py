"""Tokens in place of keys: of an issuer that is a process of its own, which can be stopped."""

import base64
import hmac
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import RequestFactory
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

import dlq.client
from audit import checks
from audit.access import api_keys, published_keys
from audit.access.tokens.issuer_keys import issuer_keys
from audit.models import Record
from auditsite import admission
from tests.audit.conftest import EVENTS, Sender, an_event

ISSUER, AUDIENCE = "https://kubernetes.default.svc", "audit"


class Issuer:
    """Serves its public keys from a file, and signs tokens."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.keys: dict[str, Any] = {}
        self.add("first", rsa.generate_private_key(65537, 2048))
        self.start()

    def add(self, key_id: str, key: Any) -> None:
        """Publish a key beside those that there are."""
        self.keys[key_id] = key
        listed = []
        for name, private in self.keys.items():
            kind = RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else ECAlgorithm
            listed.append(kind.to_jwk(private.public_key(), as_dict=True) | {"kid": name, "use": "sig"})
        (self.folder / "jwks.json").write_text(json.dumps({"keys": listed}), encoding="utf-8")

    def start(self) -> None:
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().split()[5]}/jwks.json"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def token(self, subject: str, *, signed_by: str = "first", algorithm: str = "RS256", **claims: Any) -> str:
        given = {"iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "exp": time.time() + 600} | claims
        known = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(known, self.keys[signed_by], algorithm, headers={"kid": signed_by})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    yield issuer
    if issuer.process.poll() is None:
        issuer.stop()


@pytest.fixture
def issuer(running: Issuer, settings: Any) -> Issuer:
    if running.process.poll() is not None:
        running.start()
    settings.JWT_ISSUER, settings.JWT_AUDIENCE, settings.JWT_JWKS_URL = ISSUER, [AUDIENCE], running.url
    issuer_keys.forget()
    return running


@pytest.fixture
def service(issuer: Issuer) -> Sender:
    """A writer whose tokens are taken."""
    sender = Sender("write", "read")
    call_command("writer", "subject", sender.name, subject_of(sender), stdout=io.StringIO())
    return sender


def by_shared_secret(claims: dict[str, Any], secret: bytes) -> str:
    """A token that a library would take which lets the token choose the algorithm."""
    header = {"alg": "HS256", "kid": "first", "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def subject_of(sender: Sender) -> str:
    return f"system:serviceaccount:apps:{sender.name}"


def post(sender: Sender, token: str, event: dict[str, Any] | None = None) -> int:
    answer = sender.post(event or an_event(), headers={"Authorization": f"Bearer {token}"})
    return int(answer.status_code)


def test_a_token_speaks_as_the_writer_that_its_subject_is(issuer: Issuer, service: Sender) -> None:
    event = an_event()
    assert post(service, issuer.token(subject_of(service)), event) == 201
    assert Record.objects.get(correlation_id=event["correlation_id"]).writer == service.name
    assert service.post(an_event()).status_code == 201  # its key stays good


def test_a_body_is_let_in_with_a_token_as_with_a_key(issuer: Issuer, service: Sender) -> None:
    for token, is_let_in in ((issuer.token(subject_of(service)), True), (issuer.token("nobody"), False)):
        environ = RequestFactory().post(EVENTS, headers={"Authorization": f"Bearer {token}"}).environ
        assert admission.lets_in(environ) is is_let_in


def test_a_token_that_does_not_hold_is_refused(issuer: Issuer, service: Sender) -> None:
    subject, other = subject_of(service), rsa.generate_private_key(65537, 2048)
    good = issuer.token(subject)
    header, claims, signature = good.split(".")
    public = issuer.keys["first"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bad = [
        issuer.token(subject, aud=["others"]),
        issuer.token(subject, aud=None),
        issuer.token(subject, iss="https://evil.example"),
        issuer.token(subject, exp=time.time() - 3600),
        issuer.token(subject, exp=None),
        issuer.token(subject, nbf=time.time() + 3600),
        issuer.token("system:serviceaccount:apps:nobody"),
        jwt.encode({"sub": subject}, other, "RS256", headers={"kid": "first"}),
        issuer.token(subject, algorithm="RS512"),  # not in JWT_ALGORITHMS
        jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": time.time() + 9}, None, "none"),
        by_shared_secret({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 9}, public),
        f"{header}.{claims}.{signature[:-8]}AAAAAAAA",
        f"{header}.{claims}.",
        "a.b.c",
        "..",
        f"{header}.{claims}.{'A' * 20_000}",
    ]
    api_keys.unknown_keys.reset()
    assert [post(service, token) for token in bad] == [401] * len(bad)
    assert post(service, good) == 201


def test_a_key_that_reads_as_a_subject_opens_nothing(issuer: Issuer, service: Sender) -> None:
    for text in (api_keys.subject_digest(ISSUER, subject_of(service)), f"{ISSUER}\n{subject_of(service)}"):
        assert api_keys.check(text) is None


def test_a_subject_that_is_revoked_speaks_no_more_and_rotation_leaves_it(issuer: Issuer, service: Sender) -> None:
    token = issuer.token(subject_of(service))
    api_keys.rotate(service.writer, overlap=timedelta(0))
    assert post(service, token) == 201
    with pytest.raises(CommandError, match="speaks as a writer already"):
        call_command("writer", "subject", Sender("write").name, subject_of(service))
    api_keys.revoke(service.writer)
    assert post(service, token) == 401
    call_command("writer", "subject", service.name, subject_of(service), stdout=io.StringIO())
    assert post(service, token) == 201


def test_a_new_key_of_the_issuer_is_fetched_when_a_token_names_it(
    issuer: Issuer, service: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(service, issuer.token(subject_of(service))) == 201
    issuer.add("second", ec.generate_private_key(ec.SECP256R1()))
    token = issuer.token(subject_of(service), signed_by="second", algorithm="ES256")
    assert post(service, token) == 401  # it was asked a moment ago
    monkeypatch.setattr("audit.access.tokens.issuer_keys.ASK_EVERY_S", 0)
    assert post(service, token) == 201


def test_while_the_issuer_is_down_its_last_keys_hold_for_a_while(
    issuer: Issuer, service: Sender, settings: Any
) -> None:
    token = issuer.token(subject_of(service))
    assert post(service, token) == 201
    issuer.stop()
    settings.JWT_KEYS_TTL_S = 0
    assert post(service, token) == 201
    issuer_keys.forget()  # a process that has just been started: the copy in Redis
    assert post(service, token) == 201
    settings.JWT_KEYS_MAX_AGE_H = 0
    assert post(service, token) == 503


def test_the_copy_of_the_keys_cannot_be_made_by_whoever_writes_to_redis(issuer: Issuer, service: Sender) -> None:
    assert post(service, issuer.token(subject_of(service))) == 201
    name = dlq.client.app_key("audit", "issuer")
    mac, _, text = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).get(name).partition(b" ")
    dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).set(name, mac + b" " + text.replace(b"first", b"forged"))
    assert published_keys.kept("issuer") is None


@pytest.mark.slow
def test_while_postgresql_is_down_tokens_are_served(issuer: Issuer, service: Sender, postgres: Any) -> None:
    token = issuer.token(subject_of(service))
    with postgres.stopped():
        api_keys.forget()  # as a process that has not seen it: the copy in Redis
        assert post(service, token) == 202


def test_settings_that_would_let_anybody_in_are_errors(settings: Any) -> None:
    settings.JWT_ISSUER, settings.JWT_AUDIENCE, settings.JWT_JWKS_URL = ISSUER, [], "http://issuer.example/jwks"
    settings.JWT_ALGORITHMS = ["RS256", "HS256"]
    texts = [message.msg for message in checks.tokens(None)]
    assert [text.split(" ")[0] for text in texts] == ["JWT_AUDIENCE", "JWT_ALGORITHMS", "JWT_JWKS_URL"]
    settings.JWT_AUDIENCE, settings.JWT_JWKS_URL = [AUDIENCE], "https://issuer.example/jwks"
    settings.JWT_ALGORITHMS = ["ES256"]
    assert checks.tokens(None) == []
