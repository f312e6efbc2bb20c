"""How people come in, how long they stay, and how guessing is stopped."""

import ipaddress
import secrets
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client, override_settings

from audit.access import lockout
from audit.access.budget import Budget
from audit.models import Record
from tests.admin.conftest import logged_in, person

LOGIN = "/admin/login/"


def with_password() -> tuple[User, str]:
    user, password = person("administrator"), secrets.token_urlsafe(16)
    user.set_password(password)
    user.save()
    return user, password


def an_address() -> str:
    """One of a network that no other test comes from."""
    groups = ":".join(secrets.token_hex(2) for _ in range(2))
    return str(ipaddress.ip_address(f"2001:db8:{groups}::{secrets.token_hex(2)}"))  # without leading zeros


def network(address: str) -> str:
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


def attempt(name: str, password: str, address: str) -> Any:
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


def acts(name: str) -> list[str]:
    found = Record.objects.filter(actor_id=name, event_category="security").order_by("event_timestamp", "id")
    return [record.event_action for record in found]


def test_too_many_wrong_passwords_lock_a_name_from_that_address_and_say_so(settings: Any) -> None:
    user, password = with_password()
    address = an_address()
    for _ in range(settings.LOGIN_TRIES):
        assert attempt(user.username, "wrong", address).status_code == 200
    page = attempt(user.username, password, address)
    assert page.status_code == 200
    assert "Too many wrong passwords" in page.content.decode()
    assert acts(user.username) == [*["login_refused"] * settings.LOGIN_TRIES, "login_locked"]


@pytest.mark.parametrize("written", ["203.0.113.{}:49152", "[2001:db8:7:{}::1]:443", "[2001:db8:9:{}::1]"])
def test_a_proxy_may_write_ports_and_brackets_and_only_that_place_is_locked(settings: Any, written: str) -> None:
    settings.PROXY_HOPS = 1
    user, password = with_password()

    def attempt_via(place: int, word: str) -> int:
        forwarded = {"X-Forwarded-For": f"198.51.100.1, {written.format(place)}"}
        data = {"username": user.username, "password": word}
        return Client(REMOTE_ADDR="127.0.0.1").post(LOGIN, data, headers=forwarded).status_code

    for _ in range(settings.LOGIN_TRIES):
        assert attempt_via(7, "wrong") == 200
    assert (attempt_via(7, password), attempt_via(8, password)) == (200, 302)


def test_nobody_keeps_an_administrator_out_from_elsewhere(settings: Any) -> None:
    user, password = with_password()
    attacker = an_address()
    for _ in range(settings.LOGIN_TRIES + 1):
        attempt(user.username, "wrong", attacker)
    assert attempt(user.username, password, an_address()).status_code == 302


def test_waiting_opens_it_again_and_trying_meanwhile_does_not_prolong_it(settings: Any) -> None:
    user, password = with_password()
    address = an_address()
    for _ in range(settings.LOGIN_TRIES + 2):
        attempt(user.username, "wrong", address)
    assert lockout.is_locked(user.username, network(address))
    with override_settings(LOGIN_LOCK_MINUTES=0):
        assert attempt(user.username, password, address).status_code == 302


def test_a_right_password_forgives_the_wrong_ones_before_it(settings: Any) -> None:
    user, password = with_password()
    address = an_address()
    for _ in range(2):
        for _ in range(settings.LOGIN_TRIES - 1):
            attempt(user.username, "wrong", address)
        assert attempt(user.username, password, address).status_code == 302


def test_an_address_that_tries_many_names_is_locked(settings: Any) -> None:
    settings.LOGIN_TRIES = 1
    user, password = with_password()
    address = an_address()
    for _ in range(lockout.NAMES_AN_ADDRESS):
        attempt(f"nobody-{secrets.token_hex(4)}", "wrong", address)
    assert "Too many wrong passwords" in attempt(user.username, password, address).content.decode()


def test_the_addresses_of_one_ipv6_network_are_one(settings: Any) -> None:
    user, password = with_password()
    address = an_address()
    for number in range(settings.LOGIN_TRIES):
        attempt(user.username, "wrong", f"{address.partition('::')[0]}::{number + 1:x}")
    assert "Too many wrong passwords" in attempt(user.username, password, address).content.decode()
    assert attempt(user.username, password, an_address()).status_code == 302


def test_a_flood_of_logins_costs_neither_a_hash_nor_a_record_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    is_locked = lockout.is_locked
    monkeypatch.setattr(lockout, "is_locked", lambda name, network: looked.append(name) or is_locked(name, network))
    monkeypatch.setattr(lockout, "attempts", Budget(burst=3, per_second=0))
    user, password = with_password()
    address = an_address()
    for _ in range(12):
        assert "Too many wrong passwords" in attempt(user.username, "wrong", address).content.decode() or looked
    assert len(looked) == 3
    assert acts(user.username) == ["login_refused"] * 3
    assert "Too many wrong passwords" in attempt(user.username, password, address).content.decode()
    assert attempt(user.username, password, an_address()).status_code == 302


def test_the_address_behind_our_proxies_counts_and_not_the_one_that_a_client_claims(settings: Any) -> None:
    settings.PROXY_HOPS = 1
    user, _ = with_password()
    client = Client(REMOTE_ADDR="127.0.0.1")
    seen = an_address()
    client.post(
        LOGIN, {"username": user.username, "password": "x"}, headers={"X-Forwarded-For": f"203.0.113.9, {seen}"}
    )
    record = Record.objects.filter(actor_id=user.username, event_type=lockout.REFUSED).get()
    assert record.actor_ip not in ("127.0.0.1", "203.0.113.9")
    assert record.event_type == lockout.REFUSED


def test_a_name_that_no_record_can_hold_is_refused_as_any_other() -> None:
    for name in ("a\x00b", "\ufffe", "x" * 5000):
        assert attempt(name, "wrong", an_address()).status_code == 200


def age(client: Client, **seconds: float) -> None:
    session = client.session
    for name, ago in seconds.items():
        session[name] = time.time() - ago
    session.save()


@pytest.mark.parametrize(("mark", "seconds"), [("began", 8 * 3600 + 1), ("seen", 30 * 60 + 1)])
def test_a_session_ends_when_it_is_old_or_not_used_and_that_is_recorded(mark: str, seconds: float) -> None:
    user = person("auditor")
    client = logged_in(user)
    assert client.get("/admin/").status_code == 200
    age(client, **{mark: seconds})
    assert client.get("/admin/").status_code == 302
    assert acts(user.username)[-1] == "session_ended"


def test_a_session_that_is_used_lasts() -> None:
    client = logged_in(person("auditor"))
    age(client, seen=29 * 60)
    assert client.get("/admin/").status_code == 200
    assert time.time() - client.session["seen"] < 60


def test_the_key_of_a_session_changes_at_login() -> None:
    user, password = with_password()
    client = Client(REMOTE_ADDR=an_address())
    planted = client.session
    planted["x"] = 1
    planted.save()
    client.cookies["sessionid"] = before = planted.session_key
    client.post(LOGIN, {"username": user.username, "password": password})
    assert client.cookies["sessionid"].value != before


def test_log_out_everywhere_ends_every_session_and_is_recorded() -> None:
    user = person("auditor")
    here, there = logged_in(user), logged_in(user)
    assert here.get("/admin/auth/user/own-sessions/").status_code == 405
    assert here.post("/admin/auth/user/own-sessions/").status_code == 302
    assert [client.get("/admin/").status_code for client in (here, there)] == [302, 302]
    assert "sessions_ended" in [
        record.event_action for record in Record.objects.filter(correlation_id=f"person-{user.username}")
    ]


def test_an_administrator_ends_the_sessions_of_others_but_not_of_a_superuser(administrator: Client) -> None:
    user, boss = person("auditor"), person(None, is_superuser=True)
    clients = [logged_in(user), logged_in(boss)]
    administrator.post("/admin/auth/user/", {"action": "end_sessions", "_selected_action": [user.pk, boss.pk]})
    assert [client.get("/admin/").status_code for client in clients] == [302, 200]


def test_pages_tell_browsers_what_they_may_not(auditor: Client) -> None:
    page = auditor.get("/admin/")
    expected = {
        "Referrer-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    assert {name: page[name] for name in expected} == expected
    assert "no-store" in page["Cache-Control"]
    assert "camera=()" in page["Permissions-Policy"]


@pytest.mark.parametrize("password", ["short-1!", "password1234", "123456789012", "auditor-jane-doe"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="auditor-jane-doe"))
