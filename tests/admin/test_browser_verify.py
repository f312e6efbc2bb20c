"""The page that verifies in the browser, in a real Chromium and without a network: what verify.py says, it says."""

import inspect
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from audit.export import Asker
from tests import test_verify_file as of_records
from tests.admin.conftest import person
from tests.admin.test_browser import PASSWORD, SHOTS, Visitor, browser, site, visitor
from tests.audit import test_export as of_evidence
from tests.audit.test_export import PINNED, made, of_correlation, of_range, path, sealed, small_volumes, unpacked
from tests.servers import RECEIPT_KEY, SEAL_KEY
from tests.test_verify_file import verify

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "site", "small_volumes", "visitor"]

FIELDS = {"--key": "#keys", "--receipt-key": "#receipt-keys", "--witness": "#witnesses", "--quorum": "#quorum"}
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
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))

    def check(self, file: Path, *arguments: str) -> tuple[str, list[str]]:
        """The verdict, and all lines that the page shows: what does not fit first."""
        for name, field in FIELDS.items():
            given = [value for key, value in zip(arguments[::2], arguments[1::2], strict=True) if key == name]
            if name in ("--witness", "--quorum"):
                self.page.evaluate("document.querySelector('details').open = true")
            self.page.fill(field, "\n".join(given))
        self.page.set_input_files("#file", file)
        self.page.click("#go")
        self.page.wait_for_selector("#verdict[data-verdict]")
        lines = self.page.evaluate(
            "Array.from(document.querySelectorAll('#faults li, #facts li'), li => li.textContent)"
        )
        return self.page.get_attribute("#verdict", "data-verdict") or "", lines

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(scope="module")
def verifier(browser: Browser, site: str) -> Iterator[Verifier]:
    found = Verifier(browser, site)
    yield found
    found.close()
    assert found.requests == []
    assert found.wrong == []


def compared(verifier: Verifier, file: Path, arguments: tuple[str, ...], printed: str, status: int) -> None:
    """What the page says is what verify.py printed."""
    verdict, lines = verifier.check(file, *arguments)
    *said, last = printed.splitlines()
    if status == 2:
        said, last = [*said, last], "VERDICT: CANNOT BE USED"
    assert f"VERDICT: {verdict}" == last, (lines, said)
    if status == 2 and not file.read_bytes().startswith((b"{", b"PK")):
        return  # neither a zip nor a bundle of records: which of both it should be, only a command says
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


@pytest.fixture
def checked(verifier: Verifier, capsys: pytest.CaptureFixture[str]) -> Any:
    """As in the tests of evidence, but whatever verify.py says there, the page must say too."""

    def checked(where: Path, *arguments: str) -> tuple[int, str]:
        file, arguments = zipped(where), arguments or PINNED
        status = verify.main(["evidence", str(file), *arguments])
        printed = "".join(capsys.readouterr())
        compared(verifier, file, arguments, printed, status)
        return status, printed

    return checked


@pytest.fixture
def run(verifier: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """As in the tests of bundles of records."""

    def run(body: bytes, *arguments: str) -> tuple[int, str]:
        file = tmp_path / "bundle.jsonl"
        file.write_bytes(body)
        status = verify.main([str(file), *arguments])
        printed = "".join(capsys.readouterr())
        given = list(arguments)
        if "--keys" in given:
            place = given.index("--keys")
            given[place : place + 2] = ["--key", Path(given[place + 1]).read_text(encoding="utf-8")]
        compared(verifier, file, tuple(given), printed, status)
        return status, printed

    return run


# Every test of verify.py that checks a bundle, the mutations above all, is run here as well, with the page beside it.
for _module, _fixture in ((of_evidence, "checked"), (of_records, "run")):
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _fixture in inspect.signature(_test).parameters:
            globals()[_name] = _test


def test_the_words_of_a_zip_that_is_damaged_are_the_same(checked: Any, tmp_path: Path) -> None:
    whole = path(of_range(2)).read_bytes()
    for body in (whole[:-1], whole[:-30], whole[: len(whole) // 2], b"PK", b"PK" + bytes(100)):
        file = tmp_path / "damaged.zip"
        file.write_bytes(body)
        assert checked(file)[0] == 2


def test_a_zip_that_hides_a_file_under_a_name_or_in_the_bytes_of_another_is_refused(
    verifier: Verifier, tmp_path: Path
) -> None:
    folder = unpacked(of_range(2), tmp_path / "bundle")
    file = zipped(folder)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as whole:
        whole.writestr("keys.txt", "others\n")
    assert verifier.check(file, *PINNED) == (
        "CANNOT BE USED",
        ["cannot be used: two files of the bundle have one name"],
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr("keys.txt", "others\n" * 9)
    verdict, lines = verifier.check(file, *PINNED)
    assert verdict == "CANNOT BE USED"
    assert "keys.txt is compressed or encrypted: give the bundle as the store made it" in lines[0]


def test_a_zip_whose_directory_points_two_names_at_one_place_is_refused(verifier: Verifier, tmp_path: Path) -> None:
    file = tmp_path / "overlapping.zip"
    with zipfile.ZipFile(file, "w") as whole:
        for name in ("keys.txt", "note.txt"):
            whole.writestr(name, f"{SEAL_KEY}\n")
        whole.infolist()[1].header_offset = 0
    verdict, lines = verifier.check(file, *PINNED)
    assert verdict == "CANNOT BE USED"
    assert "Overlapped entries: 'keys.txt' (possible zip bomb)" in lines[0]


# --- Nothing leaves the machine, and all can see it ---


def test_neither_the_page_nor_its_worker_can_send_anything(browser: Browser, site: str) -> None:
    page = browser.new_page()
    attempt = 'fetch("/livez").then(() => "sent", () => "refused")'

    def other_worker(route: Route) -> None:
        route.fulfill(
            response=route.fetch(), body=f"{attempt}.then((what) => postMessage({{ line: what, ready: true }}))"
        )

    page.route("**/worker.js", other_worker)
    page.goto(f"{site}/verify/")
    assert page.evaluate(attempt) == "refused"
    told = page.evaluate(
        """new Promise((tell) => {
          new Worker("worker.js", { type: "module" }).onmessage = ({ data }) => tell(data.line);
        })"""
    )
    assert told == "refused"
    assert page.context.cookies() == []
    page.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")], ids=lambda it: str(it)
)
def test_an_auditor_verifies_a_bundle_and_sees_what_was_done_to_another(
    browser: Browser, site: str, width: int, scheme: str, tmp_path: Path
) -> None:
    verifier = Verifier(browser, site, scheme, width)
    found = path(of_range(3, with_csv=True))
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    body = (folder / "records-0001.jsonl").read_bytes()
    (folder / "records-0001.jsonl").write_bytes(body.replace(b'"success"', b'"failure"', 1))

    def stop(name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        verifier.page.screenshot(path=SHOTS / f"verify-{name}-{width}-{scheme}.png", full_page=True)
        violations = Axe().run(verifier.page)["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in violations] == []
        assert verifier.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            f"{name} is too wide"
        )

    stop("empty")
    assert verifier.check(found, *PINNED)[0] == "VERIFIED"
    stop("verified")
    assert verifier.check(found)[0] == "NOT COVERED"
    stop("not-covered")
    assert verifier.check(zipped(folder), *PINNED)[0] == "ALTERED"
    assert "FAILED" in verifier.page.inner_text("#verdict")
    stop("failed")
    assert verifier.requests == []
    assert verifier.wrong == []
    verifier.close()


def test_an_auditor_downloads_a_bundle_and_verifies_it_in_the_browser(visitor: Visitor, tmp_path: Path) -> None:
    auditor = person("auditor", password=PASSWORD)
    found = made(Asker(auditor.username), query=f"correlation:{sealed(3)}", with_csv=True)
    visitor.log_in(auditor.username)
    visitor.open(f"/admin/audit/export/{found.pk}/change/", "export-with-verifier")
    with visitor.page.expect_download() as download:
        visitor.page.click("text=Download the bundle")
    file = tmp_path / found.name
    download.value.save_as(file)
    visitor.page.click("text=verify it in the browser")
    visitor.page.wait_for_selector("#go:enabled")
    visitor.page.fill("#keys", str(SEAL_KEY))
    visitor.page.fill("#receipt-keys", str(RECEIPT_KEY))
    visitor.page.set_input_files("#file", file)
    visitor.page.click("#go")
    visitor.page.wait_for_selector("#verdict[data-verdict=VERIFIED]")
    assert visitor.page.locator("#facts", has_text="3 records checked").count() == 1
    assert visitor.findings() == []
    assert visitor.wrong == []
