"""beside: the page that verifies in the browser, run beside verify.py over the same files: they must say the same."""

import inspect
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.admin.test_browser import SHOTS
from tests.test_verify_file import verify

FIELDS = {"--key": "#keys", "--receipt-key": "#receipt-keys", "--witness": "#witnesses", "--quorum": "#quorum"}
OTHERS = ("--originals", "--range")
FAULT = re.compile(r"(?:ALTERED|FORKED|NOT COVERED)  |cannot be used: |(?:\d+ faults|one fault)$")
OWN_WORDS = ("this is not JSON:", "a file of the bundle was changed:", "lacks something that it should have:")
"""What follows these is what Python's own library says, and a browser's is another one."""


class Verifier:
    """The page, loaded once and then cut off from every network."""

    def __init__(self, browser: Browser, site: str, scheme: Any = "light", width: int = 1280):
        self.page: Page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
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
        for name, field in FIELDS.items():
            if name in ("--witness", "--quorum"):
                self.page.evaluate("document.querySelector('details').open = true")
            self.page.fill(field, "\n".join(value for key, value in given if key == name))
        self.page.set_input_files("#file", file)
        self.page.set_input_files("#others", [*others, *(Path(value) for key, value in given if key in OTHERS)])
        return self.go()

    def go(self) -> tuple[str, list[str]]:
        """Verify what is chosen."""
        self.page.click("#go")
        self.page.wait_for_selector("#verdict[data-verdict]")
        lines = self.page.evaluate(
            "Array.from(document.querySelectorAll('#faults li, #facts li'), li => li.textContent)"
        )
        return self.page.get_attribute("#verdict", "data-verdict") or "", lines

    def look(self, name: str) -> None:
        """Keep a picture; all can see what is on it, on this screen."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"verify-{name}-{self.shown_as}.png", full_page=True)
        violations = Axe().run(self.page)["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in violations] == []
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
    *said, last = printed.splitlines()
    if status == 2:
        said, last = [*said, last], "VERDICT: CANNOT BE USED"
    assert f"VERDICT: {verdict}" == last, (lines, said)
    if status == 2 and not file.read_bytes().startswith((b"{", b"PK", b"auditsite/statement/v1\n")):
        return  # of none of the kinds that the page knows: which it should be, only a command says
    faults = [line for line in said if FAULT.match(line)]
    assert [_common(line) for line in lines] == [
        _common(line) for line in (*faults, *(line for line in said if line not in faults))
    ]


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
    """The tests of a module that use a fixture: to be run again, with another one of that name."""
    found = vars(module).items()
    return {
        name: test for name, test in found if name.startswith("test_") and fixture in inspect.signature(test).parameters
    }
