"""A tenant is an installation (decision 60): what one tenant holds opens nothing of another's, at any address."""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from django.urls import URLPattern, get_resolver

from audit.formats.note import Signer
from bench.fleet import Fleet
from tests.audit.conftest import an_event
from tests.auditor import FILE

pytestmark = [pytest.mark.long, pytest.mark.slow]
PASSWORD = "a long password of one tenant"
# They say the same to everybody, and of their own store alone.
OPEN = re.compile(r"/(livez|readyz|metrics|status|verify/|api/schema/|api/docs/|admin/(login|jsi18n)|static/)")
OPEN_API = re.compile(r"/api/v1/audit/(receipts/keys|checkpoint|log/|receipts/verify)")
BOSS = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("boss", password="{PASSWORD}")
"""


class Tenant:
    """An installation with its own servers, keys and name of the log."""

    def __init__(self, name: str):
        self.name, self.mark = name, f"{name}-{secrets.token_hex(8)}"
        self.key_of_log = Signer(f"{name}.example/log", secrets.token_bytes(32))
        receipts = Signer(f"{name}.example/log/receipts", secrets.token_bytes(32))
        self.fleet = Fleet(
            workers=1,
            drainers=1,
            SECRET_KEY=secrets.token_hex(32),
            SEAL_KEY=self.key_of_log.encode(),
            RECEIPT_KEY=receipts.encode(),
        )

    def start(self) -> None:
        self.fleet.start_servers()
        self.fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.fleet.start_services()
        scopes = ("write", "read", "export", "unredacted", "hold", "erase", "schema")
        self.key = self.fleet.manage("writer", "create", self.name, "--scopes", *scopes).strip()
        self.fleet.manage("shell", "--verbosity", "0", "-c", BOSS)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.fleet.site_port}", timeout=60)
        sent = self.api("POST", "/api/v1/audit/events", json=an_event(correlation_id=self.mark))
        assert sent.status_code == 201, sent.text
        self.event = sent.json()["event_id"]
        self.fleet.wait_for_sealer()
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', self.client.get("/admin/login/").text)
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], "username": "boss", "password": PASSWORD}
        assert self.client.post("/admin/login/", data=form).status_code == 302

    def api(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.request(method, f"{self.client.base_url}{path}", headers=bearer, timeout=60, **more)


class Two(NamedTuple):
    ours: Tenant
    theirs: Tenant


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    tenants = Two(Tenant("ours"), Tenant("theirs"))
    try:
        for tenant in tenants:
            tenant.start()
        yield tenants
    finally:
        for tenant in tenants:
            tenant.fleet.stop()


def addresses(tenant: Tenant) -> list[str]:
    """Every address that the site has, for what this tenant holds."""
    found = [re.sub(r"<[^>]+>", tenant.event, route) for route in _routes("/", get_resolver().url_patterns)]
    assert len(found) > 200
    return found


def _routes(base: str, patterns: list[Any]) -> Iterator[str]:
    for pattern in patterns:
        route = base + str(pattern.pattern)
        if not isinstance(pattern, URLPattern):
            yield from _routes(route, pattern.url_patterns)
        elif "(?P" not in route and "^" not in route and "logout" not in route:
            yield route


def test_a_key_of_one_tenant_opens_no_address_of_another(two: Two) -> None:
    ours, theirs = two
    let_in = []
    for address in addresses(theirs):
        if not address.startswith("/api/v1/"):
            continue
        for method in ("GET", "POST", "DELETE"):
            answer = theirs.api(method, address, key=ours.key, json=None if method == "GET" else {})
            if answer.status_code not in (401, 404, 405, 501) and not OPEN_API.match(address):
                let_in.append((method, address, answer.status_code))
            assert theirs.mark not in answer.text, (method, address)
    assert let_in == []
    assert theirs.api("GET", f"/api/v1/audit/events/{theirs.event}").status_code == 200, "its own key opens it"


def test_who_is_logged_in_at_one_tenant_is_nobody_at_another(two: Two) -> None:
    ours, theirs = two
    assert theirs.mark in theirs.client.get(f"/admin/audit/record/{theirs.event}/change/").text
    visitor = httpx.Client(base_url=theirs.client.base_url, cookies=dict(ours.client.cookies), timeout=60)
    let_in = []
    for address in addresses(theirs):
        answer = visitor.get(address)
        if answer.status_code == 200 and not OPEN.match(address) and not OPEN_API.match(address):
            let_in.append(address)
        assert theirs.mark not in answer.text, address
    assert let_in == []


def test_nothing_open_of_one_tenant_names_another(two: Two) -> None:
    ours, theirs = two
    for address in addresses(theirs):
        if OPEN.match(address) or OPEN_API.match(address):
            answer = theirs.api("GET", address)
            assert ours.key_of_log.name not in answer.text and ours.mark not in answer.text, address


def test_a_bundle_of_one_tenant_is_proved_by_its_own_key_alone(two: Two, tmp_path: Path) -> None:
    ours, theirs = two
    bundle = tmp_path / "record.jsonl"
    bundle.write_bytes(ours.api("GET", f"/api/v1/audit/events/{ours.event}/bundle").content)
    assert json.loads(bundle.read_text().splitlines()[0])
    for tenant, verdict in (
        (ours, "VERDICT: VERIFIED"),
        (theirs, f"the bundle is of the log '{ours.key_of_log.name}'"),
    ):
        command = [sys.executable, str(FILE), str(bundle), "--key", str(tenant.key_of_log)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert verdict in done.stdout + done.stderr


def test_no_role_of_one_tenants_database_reaches_anothers(two: Two) -> None:
    ours, theirs = two
    assert ours.fleet.number("SELECT count(*) FROM audit_record WHERE writer = 'theirs'") == 0
    assert ours.fleet.postgres.url("audit_app", "drill") != theirs.fleet.postgres.url("audit_app", "drill")
    assert ours.fleet.sql("SELECT system_identifier FROM pg_control_system()") != theirs.fleet.sql(
        "SELECT system_identifier FROM pg_control_system()"
    )
