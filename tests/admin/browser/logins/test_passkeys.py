"""Keys and passkeys as a second factor and alone, with the virtual authenticator of a real Chromium."""

import re
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from audit.models import Record
from tests.admin.browser.accessibility import picture, violations
from tests.admin.browser.conftest import PASSWORD, served
from tests.admin.browser.logins.conftest import enter_code, log_in, someone

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
FINGER = {"isUserVerified": True, "automaticPresenceSimulation": True}


@pytest.fixture(scope="module")
def site(extended: dict[str, str]) -> Iterator[str]:
    """By its name, for a browser lets no bare number have keys."""
    with served(**extended, PROXY_HOPS="1") as address:
        yield address.replace("127.0.0.1", "localhost")


class Authenticator:
    """A phone whose owner is there, until he is not."""

    def __init__(self, page: Page):
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable")
        added = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": PHONE | FINGER})
        self.id = added["authenticatorId"]

    def has(self, verified: bool) -> None:
        self.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": verified})

    def count(self) -> int:
        found: dict[str, Any] = self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return len(found["credentials"])


@pytest.fixture
def phone(page: Page) -> Authenticator:
    return Authenticator(page)


def is_clean(page: Page) -> bool:
    """Accessible, and whole on a narrow screen."""
    page.set_viewport_size({"width": 390, "height": 844})
    name = re.sub(r"\d+|\W+", "-", urlsplit(page.url).path).strip("-")
    picture(page, f"{name}-390")
    assert violations(page) == [], page.url
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390, page.url
    return True


def add_a_key(page: Page, site: str, name: str, alone: bool = False) -> None:
    page.goto(f"{site}/accounts/2fa/webauthn/add/")
    if "/reauthenticate/" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    assert is_clean(page)
    page.get_by_label("Name, to know it by").fill(name)
    if alone:
        page.get_by_label("Log in with it alone").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")


def facts(user: User) -> list[tuple[str, Any]]:
    """The acts of a person, and the key that each was done with."""
    found = Record.objects.filter(correlation_id=f"person-{user.username}").order_by("event_timestamp", "id")
    return [(record.event_action, record.event_data.get("key")) for record in found]


@pytest.mark.long
def test_a_key_is_added_asked_for_renamed_and_removed(page: Page, site: str, phone: Authenticator) -> None:
    user, name = someone("auditor"), f"stick {secrets.token_hex(3)}"
    log_in(page, site, user.username)
    page.goto(f"{site}/accounts/2fa/")
    assert is_clean(page)
    add_a_key(page, site, name)
    assert is_clean(page)
    assert phone.count() == 1
    page.context.clear_cookies()
    log_in(page, site, user.username)
    page.wait_for_url("**/accounts/2fa/authenticate/")
    assert is_clean(page)
    page.get_by_role("button", name="Use a key").click()
    page.wait_for_url(f"{site}/admin/")
    page.goto(f"{site}/accounts/2fa/webauthn/")
    assert is_clean(page)
    page.get_by_role("link", name=f"Rename {name}").click()
    page.get_by_role("link", name="Use a security key").click()
    assert is_clean(page)
    page.get_by_role("button", name="Use a key").click()
    page.wait_for_url("**/edit/")
    assert is_clean(page)
    page.get_by_label("Name").fill("phone")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Remove phone").click()
    assert is_clean(page)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("text=You have none.")).to_have_count(1)
    page.context.clear_cookies()
    log_in(page, site, user.username)
    page.wait_for_url(f"{site}/admin/")
    assert facts(user) == [
        ("logged_in", None),
        ("second_factor_added", name),
        ("second_factor_added", None),
        ("second_factor_used", name),
        ("logged_in", None),
        ("second_factor_used", name),
        ("second_factor_renamed", name),
        ("second_factor_removed", "phone"),
        ("second_factor_removed", None),
        ("logged_in", None),
    ]


def test_a_passkey_alone_lets_one_in(page: Page, site: str, phone: Authenticator) -> None:
    user = someone("auditor")
    log_in(page, site, user.username)
    add_a_key(page, site, "phone", alone=True)
    page.context.clear_cookies()
    page.goto(f"{site}/admin/audit/checkpoint/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url(f"{site}/admin/**")
    expect(page.locator(f"#user-tools >> text={user.username}")).to_have_count(1)
    last = Record.objects.filter(correlation_id=f"person-{user.username}").order_by("event_timestamp", "id")
    assert [record.event_data.get("without_password") for record in last][-2:] == [True, None]


@pytest.mark.long
def test_a_passkey_without_its_owner_lets_nobody_in_and_the_page_says_why(
    page: Page, site: str, phone: Authenticator
) -> None:
    user = someone("auditor")
    log_in(page, site, user.username)
    add_a_key(page, site, "phone", alone=True)
    page.context.clear_cookies()
    phone.has(verified=False)
    page.goto(f"{site}/admin/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_selector("text=The key did not answer in time")
    assert page.url.startswith(f"{site}/accounts/login/")
    assert is_clean(page)


def test_what_no_browser_sends_is_refused(page: Page, site: str) -> None:
    page.goto(f"{site}/accounts/login/")
    token = page.locator("#mfa_login input[name=csrfmiddlewaretoken]").input_value()
    for credential in ("[]", "{}", '"x"', '{"response": []}', '{"id": "a", "response": {"x": 1}}', "{"):
        form = {"csrfmiddlewaretoken": token, "credential": credential}
        response = page.context.request.post(f"{site}/accounts/2fa/webauthn/login/", form=form)
        assert (response.status, response.url) == (200, f"{site}/accounts/login/"), credential


@pytest.mark.long
def test_an_authenticator_app_is_still_asked_for_a_code_alone(page: Page, site: str, browser: Browser) -> None:
    user = someone("auditor")
    log_in(page, site, user.username)
    page.goto(f"{site}/accounts/2fa/")
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    enter_code(page)
    page.context.clear_cookies()
    log_in(page, site, user.username)
    expect(page.get_by_label("Code of your authenticator app")).to_have_count(1)
    expect(page.get_by_role("button", name="Use a key")).to_have_count(0)
