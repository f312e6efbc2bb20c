"""A real Chromium, and the site that it visits."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.fleet import answers
from bench.load import wait_until
from bench.ports import free_port
from tests.admin.browser import accessibility
from tests.admin.browser.accessibility import (
    CUT,
    NARROW,
    OF_COLOURS,
    OF_SCROLLING,
    SIDEWAYS,
    SMALL,
    WIDE,
    picture,
    violations,
)
from tests.auditor import verify

FIELDS = {"--key": "#keys", "--receipt-key": "#receipt-keys", "--witness": "#witnesses", "--quorum": "#quorum"}
FIELDS |= {"--leaf": "#leaves"}

OTHERS = ("--originals", "--range", "--ranges", "--crosslink")

FAULT = re.compile(r"(?:ALTERED|FORKED|NOT COVERED)  |cannot be used: |(?:\d+ faults|one fault)$")

OWN_WORDS = ("this is not JSON:", "lacks something that it should have:")
"""What follows these is what Python's own library says, and a browser's is another one."""


# What verify.py takes with an option the page takes in the field of this name, and must say so: the options that it is
# told of are put into its words before they are compared.
FIELD_NAMES = {
    "--key": "Log signing key",
    "--receipt-key": "Receipt signing key",
    "--originals": "Supporting files",
    "--range": "Supporting files",
    "--ranges": "Supporting files",
    "--crosslink": "Supporting files",
}
OPTION = re.compile(r"\bwith (--[a-z-]+)(?: or --keys)?")


KNOWN = (b"{", b"PK", *(f"auditsite/{kind}/v1\n".encode() for kind in ("statement", "purge", "crosslink")))
"""How the files begin that the page knows."""


PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
# No process of its own for each page: starting it takes longer than most pages.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer", "--in-process-gpu"]
FLAGS += ["--renderer-process-limit=1"]


PASSWORD = "correct horse battery staple"


PATIENCE_MS = 240_000
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def served(**env: str) -> Iterator[str]:
    """The real server, on the databases of the tests where `env` does not say otherwise."""
    port = free_port()
    command = [sys.executable, "-m", "auditsite.front", "--port", str(port), "--workers", "1", "--threads", "2"]
    process = subprocess.Popen(command, env=os.environ | env)
    try:
        wait_until(lambda: answers(port), seconds=300, what="the site")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=120)


@pytest.fixture(scope="package")
def site() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread; the ORM is used between its calls, never inside.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: install it (`apt-get install chromium`) to run the browser tests")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        connections.close_all()  # the loop has connections of its own: those of a module before may be cut by now
        yield launched
        launched.close()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave to `make test-long` what is run a second time and not sampled."""
    assert isinstance(item, pytest.Function)
    is_again = item.function.__module__ != item.module.__name__
    if is_again and (item.originalname not in item.module.SAMPLED or not _has_first_parameters(item)):
        item.add_marker(pytest.mark.long)


def _has_first_parameters(item: pytest.Function) -> bool:
    return not any(item.callspec.indices.values()) if hasattr(item, "callspec") else True


def new_page(browser: Browser, **options: Any) -> Page:
    """A page of a browser session of its own, which waits for what is to come as long as a busy machine may take."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE_MS)
    return page


@pytest.fixture(params=["each kind", pytest.param("every", marks=pytest.mark.long)])
def looks(request: pytest.FixtureRequest) -> Iterator[accessibility.Looks]:
    """Axe looks at each kind of page once; in `make test-long`, at every page where a test stops."""
    accessibility.looks.at_all = request.param == "every"
    yield accessibility.looks
    accessibility.looks.at_all = False


class Visitor:
    """A page, and all that went wrong on it."""

    def __init__(self, browser: Browser, site: str, scheme: Any):
        self.page = new_page(browser, color_scheme=scheme, viewport=WIDE)
        self.site, self.scheme = site, scheme
        self.wrong: list[str] = []
        self._seen: set[str] = set()
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type != "log" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def open(self, path: str, name: str) -> None:
        response = self.page.goto(self.site + path)
        assert response is not None
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert response.ok, (path, response.status)
        self.picture(f"{name}-{self.scheme}")

    def picture(self, name: str) -> None:
        picture(self.page, name)

    def come_in(self, user: User) -> None:
        """With a session, as after a login: its two pages take longer than most that are looked at then."""
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.site}])

    def log_in(self, name: str) -> None:
        self.open("/admin/login/", "login")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("input[type=submit]")

    def findings(self, *rules: str) -> list[str]:
        """Accessibility violations of the page at hand, of any impact: of all rules, or of these."""
        return violations(self.page, *rules)

    def findings_of_state(self, name: str) -> list[str]:
        """Everywhere where this visitor has not seen the page yet; another state of one that was seen, in the light."""
        page = accessibility.kind(self.page)
        if page in self._seen:
            return self.findings()
        self._seen.add(page)
        return self.findings_everywhere(name)

    def findings_everywhere(self, name: str) -> list[str]:
        """The same in light and dark, and what is wrong with it on a narrow screen."""
        found, size = self.findings(), self.page.viewport_size
        assert size is not None
        self.page.emulate_media(color_scheme="dark")
        # The page's own scripts hear of it before the next picture is drawn.
        self.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => drawn()))")
        self.picture(f"{name}-dark")
        found += [f"dark: {one}" for one in self.findings(*OF_COLOURS)]
        self.page.set_viewport_size(NARROW)
        self.picture(f"{name}-narrow")
        found += [f"narrow: {one}" for one in self.findings(*OF_SCROLLING)]
        found += [f"narrow: {one} scrolls the page sideways" for one in self.page.evaluate(SIDEWAYS)]
        found += [f"narrow: {one} is smaller than a finger" for one in self.page.evaluate(SMALL)]
        found += [f"narrow: the table {table} is cut" for table in self.page.evaluate(CUT)]
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=self.scheme)
        return found


@pytest.fixture
def visitor(browser: Browser, site: str, looks: accessibility.Looks) -> Iterator[Visitor]:
    found = Visitor(browser, site, "light")
    yield found
    found.page.context.close()


class Walker(Visitor):
    """A person who is logged in, at a screen of some size; each stop is looked at."""

    def __init__(self, browser: Browser, site: str, scheme: Any, width: int, user: User):
        super().__init__(browser, site, scheme)
        self.width = width
        self.page.set_viewport_size({"width": width, "height": 900})
        self.come_in(user)

    def stop(self, name: str) -> None:
        """Nothing is wrong with the page at hand, and it can be looked at."""
        self.page.wait_for_load_state("load")
        name = f"journey-{name}-{self.width}"
        self.picture(f"{name}-{self.scheme}")
        # A walk on a narrow screen goes where a wide one has gone: what can be wrong there is what the screen does.
        is_wide = self.width > NARROW["width"]
        assert (self.findings_everywhere(name) if is_wide else self.findings(*OF_SCROLLING)) == []
        assert self.wrong == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"

    def status(self, address: str) -> int:
        """What an address answers; what the browser says of a refusal is no fault of a page."""
        response = self.page.goto(address)
        assert response is not None
        if not response.ok:
            self.wrong.clear()
        return response.status


# Narrow, the way of a wide screen is gone again.
WIDE_AND_NARROW = [(1280, "light"), pytest.param(390, "dark", marks=pytest.mark.long)]


@pytest.fixture
def walk(request: pytest.FixtureRequest, browser: Browser, site: str, looks: accessibility.Looks) -> Iterator[Any]:
    """A new walker for a user; on a wide screen if the test does not say otherwise."""
    width, scheme = getattr(request, "param", (1280, "light"))
    walkers: list[Walker] = []

    def begin(user: User) -> Walker:
        walkers.append(Walker(browser, site, scheme, width, user))
        return walkers[-1]

    yield begin
    for one in walkers:
        one.page.context.close()


# Filled, clicked and read by one call each: a person's keys and clicks are in the tests of whole ways.
FILL = "fields => { for (const [at, value] of Object.entries(fields)) document.querySelector(at).value = value; }"
VERIFY = """async () => {
    document.querySelector("#go").click();
    const verdict = document.querySelector("#verdict");
    while (!verdict.dataset.verdict) await new Promise((again) => setTimeout(again, 2));
    return [verdict.dataset.verdict,
        Array.from(document.querySelectorAll("#faults li, #facts h3, #facts li"), (line) => line.textContent)];
}"""


class Verifier:
    """The page, loaded once and then cut off from every network."""

    def __init__(self, browser: Browser, site: str, scheme: Any = "light", width: int = 1280):
        self.page = new_page(browser, color_scheme=scheme, viewport={"width": width, "height": 900})
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(f"{site}/verify/")
        self.page.wait_for_selector("#go:enabled")
        self.page.context.set_offline(True)
        self.shown_as = f"{width}-{scheme}"
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))

    def check(self, file: Path, *arguments: str, others: tuple[Path, ...] = ()) -> tuple[str, list[str]]:
        """The verdict, and all lines that the page shows: what does not fit first."""
        given = list(zip(arguments[::2], arguments[1::2], strict=True))
        fields = {field: "\n".join(value for key, value in given if key == name) for name, field in FIELDS.items()}
        self.page.evaluate(FILL, fields)
        self.page.set_input_files("#file", file)
        self.page.set_input_files("#others", [*others, *(Path(value) for key, value in given if key in OTHERS)])
        return self.go()

    def go(self) -> tuple[str, list[str]]:
        """Verify what is chosen."""
        verdict, lines = self.page.evaluate(VERIFY)
        return verdict, lines

    def look(self, name: str) -> None:
        """Keep a picture; all can see what is on it, on this screen."""
        picture(self.page, f"verify-{name}-{self.shown_as}")
        assert violations(self.page) == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(scope="module")
def verifier(browser: Browser, site: str) -> Iterator[Verifier]:
    found = Verifier(browser, site)
    yield found
    found.close()
    assert found.requests == []
    assert found.wrong == []


@pytest.fixture
def both(verifier: Verifier, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs verify.py and the page; returns the exit status and what verify.py printed, which the page must say too."""

    def both(way: str, file: Path, *arguments: str, others: tuple[Path, ...] = ()) -> tuple[int, str]:
        status = verify.main([*([way] if way else []), *map(str, (file, *others)), *arguments])
        printed = "".join(capsys.readouterr())
        _compare(verifier.check(file, *_as_keys(arguments), others=others), file, printed, status)
        return status, printed

    return both


def _as_keys(arguments: tuple[str, ...]) -> list[str]:
    """A file of keys is for a command; into the page they are pasted."""
    given = list(arguments)
    if "--keys" in given:
        place = given.index("--keys")
        given[place : place + 2] = ["--key", Path(given[place + 1]).read_text(encoding="utf-8")]
    return given


def _compare(shown: tuple[str, list[str]], file: Path, printed: str, status: int) -> None:
    verdict, lines = shown
    *said, last = OPTION.sub(lambda match: f'in the field "{FIELD_NAMES[match[1]]}"', printed).splitlines()
    if status == 2:
        said, last = [*said, last], "VERDICT: CANNOT BE USED"
    assert f"VERDICT: {verdict}" == last, (lines, said)
    if status == 2 and not file.read_bytes().startswith(KNOWN):
        return  # of none of the kinds that the page knows: which it should be, only a command says
    faults = [line for line in said if FAULT.match(line)]
    parts = [line.removeprefix("  ") for line in said if line not in faults]
    assert [_common(line) for line in lines] == [_common(line) for line in (*faults, *parts)]


def _common(line: str) -> str:
    for words in OWN_WORDS:
        before, found, _ = line.partition(words)
        line = before + found
    return line


def zipped(where: Path) -> Path:
    """A folder as the store would have zipped it."""
    if where.is_file():
        return where
    file = where.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as whole:
        for one in sorted(where.rglob("*")):
            if one.is_file():
                whole.write(one, one.relative_to(where))
    return file


def using(module: ModuleType, fixture: str) -> dict[str, Any]:
    """The tests of a module that use a fixture: to be run again, with another one of that name.

    `make test` runs again those that the module that does so names as SAMPLED, each with its first parameters.
    """
    found = vars(module).items()
    return {
        name: test for name, test in found if name.startswith("test_") and fixture in inspect.signature(test).parameters
    }
