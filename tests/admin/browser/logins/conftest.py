"""A site with second factors and a provider of identities, and somebody who logs in."""

import base64
import hmac
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page

from auditsite.several import SEPARATOR
from tests.admin.browser.accessibility import Looks, violations
from tests.admin.browser.conftest import PASSWORD, new_page
from tests.admin.conftest import person


@pytest.fixture(scope="session")
def extended(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> dict[str, str]:
    """The settings of a site with the extra switched on, whose tables are made and whose files are collected."""
    settings = {"LOGIN_MFA": "optional", "STATIC_ROOT": str(tmp_path_factory.mktemp("static"))}
    commands = ["migrate", "-v0", SEPARATOR, "collectstatic", "--noinput", "-v0"]
    subprocess.run([sys.executable, "-m", "auditsite.several", *commands], env=os.environ | settings, check=True)
    return settings


# An address may try to log in so many times a minute: each test comes from one of its own, as behind a proxy.
addresses = (f"198.51.100.{last}" for last in itertools.count(1))


@pytest.fixture
def page(browser: Browser, looks: Looks) -> Iterator[Page]:
    page = new_page(browser, extra_http_headers={"X-Forwarded-For": next(addresses)})
    faults: list[str] = []
    page.on(
        "console",
        lambda message: faults.append(f"{message.text} {message.location}") if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.context.close()
    assert [fault for fault in faults if "favicon.ico" not in fault and "403" not in fault] == []


seen_logins: set[str] = set()


def someone(group: str) -> User:
    user = person(group)
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/admin/")
    if site not in seen_logins:  # the page is the same for everybody
        assert violations(page) == []
        seen_logins.add(site)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def enter_code(page: Page) -> None:
    """Set up the second factor. Codes change each 30 s: where a busy machine sends an old code, the next is entered."""
    for _code in range(5):
        page.get_by_label("Code").fill(code(page.locator("#secret").inner_text()))
        with page.expect_navigation():
            page.get_by_role("button", name="Set up").click()
        if page.url.endswith("/accounts/2fa/recovery-codes/"):
            return
        assert "Incorrect code" in page.content()
    pytest.fail("five codes in a row came too late")


def code(secret: str) -> str:
    """RFC 6238: what the app shows now."""
    count = int(time.time() // 30).to_bytes(8, "big")
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), count, "sha1").digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"
