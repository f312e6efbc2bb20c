"""Logins with a second factor and through an OpenID Connect provider: real site, real Chromium, real tokens."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from jwt.algorithms import RSAAlgorithm
from playwright.sync_api import Page, expect

from audit.models import Record
from tests.admin.browser.accessibility import violations
from tests.admin.browser.conftest import PASSWORD, served
from tests.admin.browser.logins.conftest import enter_code, log_in, someone

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLIENT = "auditsite"
NAME = f"jane-{secrets.token_hex(4)}"


class Provider(BaseHTTPRequestHandler):
    """An OpenID Connect provider with one person, who is always logged in there."""

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    asked: ClassVar[dict[str, dict[str, str]]] = {}

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/authorize":
            return self._send_back({name: values[0] for name, values in asked.items()})
        self._answer(DISCOVERED[path](self._here))

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        asked = self.asked[form["code"]]
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert proof == asked["code_challenge"]
        claims = {"iss": self._here, "aud": CLIENT, "sub": NAME, "exp": time.time() + 60, "iat": time.time(), **WHO}
        claims |= {"nonce": asked["nonce"]} if "nonce" in asked else {}
        token = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "one"})
        self._answer({"access_token": "token", "token_type": "Bearer", "id_token": token, "expires_in": 60})

    def log_message(self, *arguments: Any) -> None:
        pass

    @property
    def _here(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _send_back(self, asked: dict[str, str]) -> None:
        code = secrets.token_hex(8)
        self.asked[code] = asked
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
        self.end_headers()

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


WHO = {"preferred_username": NAME, "name": "Jane Doe", "email": f"{NAME}@example.com"}
PUBLIC: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(Provider.key.public_key()))
DISCOVERED: dict[str, Any] = {
    "/.well-known/openid-configuration": lambda here: {
        "issuer": here,
        "authorization_endpoint": f"{here}/authorize",
        "token_endpoint": f"{here}/token",
        "userinfo_endpoint": f"{here}/userinfo",
        "jwks_uri": f"{here}/keys",
    },
    "/keys": lambda here: {"keys": [PUBLIC | {"kid": "one", "use": "sig", "alg": "RS256"}]},
    "/userinfo": lambda here: {"sub": NAME, **WHO},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(provider: str, extended: dict[str, str]) -> Iterator[str]:
    of_provider = {"LOGIN_OIDC_URL": provider, "LOGIN_OIDC_CLIENT_ID": CLIENT, "LOGIN_OIDC_SECRET": "secret"}
    with served(**extended | {"LOGIN_MFA": "required"} | of_provider) as address:
        yield address


def acts(name: str) -> list[str]:
    found = Record.objects.filter(correlation_id=f"person-{name}").order_by("event_timestamp", "id")
    return [record.event_action for record in found]


def test_whoever_administers_sets_up_a_second_factor_and_then_needs_it(page: Page, site: str) -> None:
    user = someone("administrator")
    log_in(page, site, user.username)
    expect(page.locator("body")).to_contain_text("set up a second factor first")
    assert violations(page) == []
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/accounts/2fa/totp/activate/")
    assert violations(page) == []
    enter_code(page)
    page.goto(f"{site}/admin/auth/user/")
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    page.context.clear_cookies()
    log_in(page, site, user.username)
    page.goto(f"{site}/admin/auth/user/")
    page.wait_for_url(f"{site}/accounts/2fa/authenticate/**")
    assert violations(page) == []
    page.locator("input[name=code]").fill("000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("body")).to_contain_text("Incorrect code")
    assert acts(user.username) == ["logged_in", "second_factor_added", "second_factor_added", "second_factor_refused"]


def test_an_auditor_needs_no_second_factor_and_sees_records(page: Page, site: str) -> None:
    user = someone("auditor")
    log_in(page, site, user.username)
    page.wait_for_url(f"{site}/admin/")
    page.goto(f"{site}/accounts/2fa/")
    assert violations(page) == []
    for closed in ("signup", "email", "password/reset", "3rdparty"):
        response = page.context.request.get(f"{site}/accounts/{closed}/")
        assert response.status == 404, closed


def test_whom_the_provider_knows_comes_in_without_rights_until_he_has_a_group(page: Page, site: str) -> None:
    someone("auditor")  # a store without any person asks for the first one
    page.goto(f"{site}/admin/audit/record/")
    page.get_by_role("button", name="Single sign-on").click()
    page.wait_for_url(f"{site}/admin/**")
    user = User.objects.get(username=NAME)
    assert (user.is_superuser, list(user.groups.all())) == (False, [])
    assert page.context.request.get(f"{site}/admin/audit/record/").status == 403
    assert acts(NAME)[:2] == ["created", "logged_in"]
