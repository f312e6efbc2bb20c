"""The first person of an installation, in a browser, through its proxy and TLS."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
NAME, PASSWORD = "olga", "correct horse battery staple"
PATIENCE_MS = 120_000


def visit(address: str, log: Callable[[], str], pictures: Path) -> list[str]:
    """Make the first person by the link in the log, log in, and look at the start page; return what was wrong.

    `log` returns that of the service `web`. Pictures of what was seen are left in a folder. Raises `RuntimeError` where
    there is no browser.
    """
    with _browser(pictures) as (page, faults):
        _make_person(page, address, log, pictures)
        _log_in(page, address, pictures)
    return faults


def look(address: str, pages: Sequence[str], pictures: Path) -> list[str]:
    """Log in as the first person, and look at pages below `/admin/`; return what was wrong, as `visit` does."""
    with _browser(pictures) as (page, faults):
        page.goto(f"{address}/admin/login/")
        _log_in(page, address, pictures)
        for name in pages:
            page.goto(f"{address}/admin/{name}")
            page.screenshot(path=pictures / f"{re.sub('[^a-z]+', '-', name).strip('-') or 'again'}.png")
    return faults


@contextmanager
def _browser(pictures: Path) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what was wrong with what it has shown so far."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RuntimeError("No Chromium is on PATH: install it (Debian: apt-get install chromium).")
    pictures.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        # The certificate is one that the installation signed itself.
        page = browser.new_context(ignore_https_errors=True, viewport={"width": 1360, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on(
            "response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status > 399 else None
        )
        yield page, faults
        browser.close()


def _make_person(page: Page, address: str, log: Callable[[], str], pictures: Path) -> None:
    page.goto(f"{address}/admin/login/")
    page.get_by_text("first_person_link").wait_for()
    links = re.findall(
        r'"url": "([^"]+)"', "\n".join(line for line in log().splitlines() if "first_person_link" in line)
    )
    if not links or not links[-1].startswith(f"{address}/"):
        raise RuntimeError(f"The log of web should have a link below {address}, and has {links}.")
    page.goto(links[-1])
    page.get_by_label("Username").fill(NAME)
    for number in (1, 2):
        page.locator(f"input[name=password{number}]").fill(PASSWORD)
    page.screenshot(path=pictures / "first-person.png")
    page.get_by_role("button", name="Make the first person").click()
    page.wait_for_url(f"{address}/**/login/**")


def _log_in(page: Page, address: str, pictures: Path) -> None:
    for name, width, scheme in (("login", 1360, "light"), ("login-dark", 1360, "dark"), ("login-narrow", 390, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=pictures / f"{name}.png")
    page.set_viewport_size({"width": 1360, "height": 900})
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("input[name=login], input[name=username]").first.fill(NAME)
    page.locator("input[type=password]").press("Enter")
    page.wait_for_url(f"{address}/admin/")
    page.screenshot(path=pictures / "start.png")
