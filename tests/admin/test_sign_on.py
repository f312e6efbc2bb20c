"""Logins with a second factor and through an OpenID Connect provider: real site, real Chromium, real tokens."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from axe_core_python.sync_playwright import Axe
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from jwt.algorithms import RSAAlgorithm
from playwright.sync_api import Browser, Page

from audit.models import Record
from tests.admin.conftest import person
from tests.admin.test_browser import PASSWORD, browser, served

__all__ = ["browser"]
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
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextmanager
def extended_site(tmp_path_factory: pytest.TempPathFactory, **settings: str) -> Iterator[str]:
    """The site with the extra switched on, its tables made and its files collected."""
    settings |= {"STATIC_ROOT": str(tmp_path_factory.mktemp("static"))}
    manage = [sys.executable, str(Path(__file__).parent.parent.parent / "manage.py")]
    for command in (["migrate", "-v0"], ["collectstatic", "--noinput", "-v0"]):
        subprocess.run([*manage, *command], env=os.environ | settings, check=True)
    with served(**settings) as address:
        yield address


@pytest.fixture(scope="module")
def site(provider: str, tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    of_provider = {"LOGIN_OIDC_URL": provider, "LOGIN_OIDC_CLIENT_ID": CLIENT, "LOGIN_OIDC_SECRET": "secret"}
    with extended_site(tmp_path_factory, LOGIN_MFA="required", **of_provider) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on(
        "console",
        lambda message: faults.append(f"{message.text} {message.location}") if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert [fault for fault in faults if "favicon.ico" not in fault and "403" not in fault] == []


def someone(group: str) -> User:
    user = person(group)
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/admin/")
    assert Axe().run(page)["violations"] == []
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def code(secret: str) -> str:
    """RFC 6238: what the app shows now."""
    count = int(time.time() // 30).to_bytes(8, "big")
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), count, "sha1").digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


def acts(name: str) -> list[str]:
    found = Record.objects.filter(correlation_id=f"person-{name}").order_by("event_timestamp", "id")
    return [record.event_action for record in found]


def test_whoever_administers_sets_up_a_second_factor_and_then_needs_it(page: Page, site: str) -> None:
    user = someone("administrator")
    log_in(page, site, user.username)
    assert "set up a second factor first" in page.content()
    assert Axe().run(page)["violations"] == []
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    assert page.url.endswith("/accounts/2fa/totp/activate/")
    assert Axe().run(page)["violations"] == []
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Code").fill(code(secret))
    page.get_by_role("button", name="Set up").click()
    page.goto(f"{site}/admin/auth/user/")
    assert page.get_by_role("heading", name="Select user to change").is_visible()
    page.context.clear_cookies()
    log_in(page, site, user.username)
    page.goto(f"{site}/admin/auth/user/")
    assert page.url.startswith(f"{site}/accounts/2fa/authenticate/")
    assert Axe().run(page)["violations"] == []
    page.locator("input[name=code]").fill("000000")
    page.get_by_role("button", name="Log in").click()
    assert "Incorrect code" in page.content()
    assert acts(user.username) == ["logged_in", "second_factor_added", "second_factor_added", "second_factor_refused"]


def test_an_auditor_needs_no_second_factor_and_sees_records(page: Page, site: str) -> None:
    user = someone("auditor")
    log_in(page, site, user.username)
    assert page.url == f"{site}/admin/"
    page.goto(f"{site}/accounts/2fa/")
    assert Axe().run(page)["violations"] == []
    for closed in ("signup", "email", "password/reset", "3rdparty"):
        response = page.context.request.get(f"{site}/accounts/{closed}/")
        assert response.status == 404, closed


def test_whom_the_provider_knows_comes_in_without_rights_until_he_has_a_group(page: Page, site: str) -> None:
    page.goto(f"{site}/admin/audit/record/")
    page.get_by_role("button", name="Single sign-on").click()
    page.wait_for_url(f"{site}/admin/**")
    user = User.objects.get(username=NAME)
    assert (user.is_superuser, list(user.groups.all())) == (False, [])
    assert page.context.request.get(f"{site}/admin/audit/record/").status == 403
    assert acts(NAME) == ["created", "logged_in"]
