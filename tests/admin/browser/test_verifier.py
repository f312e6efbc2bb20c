"""The page that verifies in the browser, in a real Chromium and without a network: what verify.py says, it says."""

import base64
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from audit.evidence.request import Requester
from audit.verifier import page as verifier_page
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import FIELD_NAMES, WIDE_AND_NARROW, Verifier, Visitor, new_page, using, zipped
from tests.admin.conftest import person
from tests.audit.evidence import test_export as of_evidence
from tests.audit.evidence import test_tampering as of_tampering
from tests.audit.evidence.conftest import PINNED, made, of_correlation, of_range, path, sealed, small_volumes, unpacked
from tests.servers import RECEIPT_KEY, SEAL_KEY
from tests.verify_file import test_records as of_records

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["small_volumes"]


@pytest.fixture
def checked(both: Any) -> Any:
    """As in the tests of evidence, but whatever verify.py says there, the page must say too."""
    return lambda where, *arguments: both("evidence", zipped(where), *(arguments or PINNED))


@pytest.fixture
def stride() -> int:
    """The page takes longer than verify.py, which looks at every place."""
    return 7


@pytest.fixture
def run(both: Any, tmp_path: Path) -> Any:
    """As in the tests of bundles of records."""

    def run(body: bytes, *arguments: str) -> Any:
        file = tmp_path / "bundle.jsonl"
        file.write_bytes(body)
        return both("", file, *arguments)

    return run


# Every test of verify.py that checks a bundle, the mutations above all, is run here as well, with the page beside it:
# by `make test` one of each kind of fault, for what verify.py finds its own tests hold.
SAMPLED = {
    "test_a_file_that_the_manifest_names_and_no_volume_has_is_refused",
    "test_a_file_too_many_or_too_few_is_named",
    "test_a_foreign_key_is_refused",
    "test_a_manifest_that_lies_about_its_records_is_refused_though_it_is_signed",
    "test_a_query_is_exported_whole_and_verifies",
    "test_a_range_is_proved_whole",
    "test_a_table_that_says_something_else_than_the_records_is_refused",
    "test_a_truncated_proof_is_refused",
    "test_an_altered_record_is_named",
    "test_an_empty_bundle_covers_nothing",
    "test_an_older_checkpoint_is_refused",
    "test_records_that_were_tampered_with_are_refused",
    "test_two_trees_of_one_size_are_a_fork",
    "test_what_a_bundle_says_of_itself_is_stated_and_cannot_pass_for_what_was_checked",
    "test_what_is_malformed_is_said_to_be_and_never_verified",
    "test_witnesses_count_when_asked_for",
}
globals().update(using(of_evidence, "checked") | using(of_tampering, "checked") | using(of_records, "run"))


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
    assert lines == ["cannot be used: the zip of the bundle is damaged or cut off"]


@pytest.mark.parametrize("name", ["records.csv", "keys.txt"])
def test_a_file_that_is_no_bundle_is_named_as_such(both: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("event_id,event_type\n")
    status, printed = both("evidence", tmp_path / name, *PINNED)
    assert status == 2
    assert "give the .zip as it was downloaded" in printed


def test_keys_that_are_pasted_together_are_put_where_they_belong(verifier: Verifier) -> None:
    verifier.page.fill("#keys", f"{RECEIPT_KEY}\n{SEAL_KEY}")
    verifier.page.dispatch_event("#keys", "change")
    assert verifier.page.input_value("#keys") == str(SEAL_KEY)
    assert verifier.page.input_value("#receipt-keys") == str(RECEIPT_KEY)


def test_a_key_that_is_lacking_is_asked_for_first_in_the_words_of_the_page(verifier: Verifier) -> None:
    labels = verifier.page.locator("label").all_inner_texts()
    assert all(any(label.startswith(name) for label in labels) for name in FIELD_NAMES.values())
    assert [label.partition("; ")[2] for label in labels if "signing key" in label] == [
        "needed for .zip, .jsonl and .txt",
        "needed for .zip, .txt and .json",
    ]
    verdict, lines = verifier.check(path(of_range(2)), *PINNED[:2])
    assert (verdict, lines[0].partition(", ")[0]) == (
        "NOT COVERED",
        'NOT COVERED  give the receipt signing key: in the field "Receipt signing key"',
    )
    assert not any("--" in line for line in lines)
    assert verifier.page.evaluate("document.activeElement.id") == "verdict"
    shown = "document.querySelector('#facts li').getBoundingClientRect().bottom <= innerHeight"
    assert verifier.page.evaluate(shown)
    assert verifier.page.get_attribute(".back a", "href") == "../"


# --- Nothing leaves the machine, and all can see it ---


def test_neither_the_page_nor_its_worker_can_send_anything(browser: Browser, site: str) -> None:
    page = new_page(browser)
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
    page.context.close()


# --- What the page cannot do, it says ---


def dropped(verifier: Verifier, file: Path, onto: str) -> None:
    """A file dragged over the page and let go."""
    transfer = verifier.page.evaluate_handle(
        """([name, body]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(body), (one) => one.charCodeAt(0))], name));
          return transfer;
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )
    for kind, is_over in (("dragover", True), ("dragleave", False), ("dragover", True), ("drop", False)):
        verifier.page.dispatch_event(onto, kind, {"dataTransfer": transfer})
        assert verifier.page.evaluate("document.querySelector('form.over') !== null") is is_over


def test_a_file_may_be_dropped(verifier: Verifier, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"{}\n")
    assert verifier.check(other, *PINNED)[0] == "CANNOT BE USED"
    found = path(of_range(2))
    dropped(verifier, found, "#keys")
    verdict, lines = verifier.go()
    assert (verdict, "2 records checked" in "\n".join(lines)) == ("VERIFIED", True)
    assert verifier.page.inner_text("#means").startswith(f"{found.name}: ")
    dropped(verifier, other, "#others")
    assert verifier.page.evaluate("[...document.getElementById('others').files].map((one) => one.name)") == [other.name]
    assert verifier.page.evaluate("document.getElementById('file').files[0].name") == found.name


@pytest.mark.parametrize(
    ("name", "body", "others", "words"),
    [
        ("receipt.txt", b"auditsite/receipt/v1\n", [], "use verify.py receipt"),
        ("bundle.jsonl", b"{}\n", [b"{}\n"], "take the others away, or use verify.py"),
        ("statement.txt", b"auditsite/statement/v1\n", [b"{}\n"], "With a statement goes the bundle of a range"),
        ("sample.zip", b"PK", [b"PK", b"{}\n"], "With a sample goes the bundle of a range"),
    ],
)
def test_what_the_page_cannot_check_is_for_verify_py(
    verifier: Verifier, tmp_path: Path, name: str, body: bytes, others: list[bytes], words: str
) -> None:
    (tmp_path / name).write_bytes(body)
    beside = [tmp_path / f"other-{place}" for place in range(len(others))]
    for file, other in zip(beside, others, strict=True):
        file.write_bytes(other)
    verdict, (line,) = verifier.check(tmp_path / name, *PINNED, others=tuple(beside))
    assert verdict == "CANNOT BE USED"
    assert words in line
    assert "use verify.py" in line


def test_a_browser_without_ed25519_says_so(browser: Browser, site: str) -> None:
    page = new_page(browser)
    without = """
        crypto.subtle.importKey = async () => {
          throw new DOMException("Algorithm: Unrecognized name", "NotSupportedError");
        };"""

    def old_browser(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text() + without)

    page.route("**/worker.js", old_browser)
    page.goto(f"{site}/verify/")
    page.wait_for_selector("#go:enabled")
    page.set_input_files("#file", path(of_range(1)))
    page.click("#go")
    page.wait_for_selector("#verdict[data-verdict='CANNOT BE USED']")
    expect(page.locator("#faults")).to_contain_text("this browser cannot check Ed25519 signatures", use_inner_text=True)
    expect(page.locator("#faults")).to_contain_text("or verify.py", use_inner_text=True)
    page.context.close()


@pytest.mark.parametrize("name", ["worker.js", "zip.js"])
def test_where_the_checking_part_does_not_load_nothing_can_be_clicked_and_the_page_says_why(
    browser: Browser, site: str, name: str
) -> None:
    page = new_page(browser)
    page.route(f"**/{name}", lambda route: route.abort())
    page.goto(f"{site}/verify/")
    page.wait_for_selector("#unready:visible")
    expect(page.locator("#unready")).to_contain_text("did not load", use_inner_text=True)
    expect(page.locator("#go")).to_be_disabled()
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), WIDE_AND_NARROW, ids=str)
def test_an_auditor_verifies_a_bundle_and_sees_what_was_done_to_another(
    browser: Browser, site: str, looks: Looks, width: int, scheme: str, tmp_path: Path
) -> None:
    verifier = Verifier(browser, site, scheme, width)
    found = path(of_range(3, with_csv=True))
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    body = (folder / "records-0001.jsonl").read_bytes()
    (folder / "records-0001.jsonl").write_bytes(body.replace(b'"success"', b'"failure"', 1))

    verifier.look("empty")
    assert verifier.check(found, *PINNED)[0] == "VERIFIED"
    verifier.look("verified")
    assert verifier.check(found)[0] == "NOT COVERED"
    verifier.look("not-covered")
    assert verifier.check(zipped(folder), *PINNED)[0] == "ALTERED"
    expect(verifier.page.locator("#verdict")).to_contain_text("FAILED", use_inner_text=True)
    verifier.look("failed")
    assert verifier.requests == []
    assert verifier.wrong == []
    verifier.close()


def test_an_auditor_downloads_a_bundle_and_verifies_it_in_the_browser(visitor: Visitor, tmp_path: Path) -> None:
    auditor = person("auditor")
    found = made(Requester(auditor.username), query=f"correlation:{sealed(3)}", with_csv=True)
    visitor.come_in(auditor)
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
    expect(visitor.page.locator("#facts")).to_contain_text("3 records checked")
    assert visitor.findings() == []
    assert visitor.wrong == []


def test_beside_the_fields_of_keys_stands_where_this_site_shows_its_own_and_that_elsewhere_is_better(
    visitor: Visitor,
) -> None:
    visitor.come_in(person("auditor"))
    visitor.open("/verify/", "verify-keys")
    said = visitor.page.locator("#site-keys")
    expect(said).to_contain_text("Keys are better had from elsewhere")
    said.get_by_role("link").click()
    expect(visitor.page.locator("#keys")).to_have_text("Public keys")
    shown = visitor.page.locator("[data-copy]")
    expect(shown.filter(has_text=str(SEAL_KEY))).to_be_visible()
    expect(shown.filter(has_text=str(RECEIPT_KEY))).to_be_visible()
    assert visitor.wrong == []


def test_taken_along_the_page_leads_to_no_site(browser: Browser, site: str) -> None:
    page = new_page(browser)

    def at_the_root(route: Route) -> None:
        name = route.request.url.removeprefix(f"{site}/") or "index.html"
        route.fulfill(path=verifier_page.FOLDER / name) if (verifier_page.FOLDER / name).is_file() else route.abort()

    page.route("**/*", at_the_root)
    page.goto(f"{site}/")
    page.wait_for_selector("#go:enabled")
    expect(page.locator("#about-keys")).to_be_visible()
    expect(page.locator(".of-site").filter(visible=True)).to_have_count(0)
    expect(page.locator(".of-site")).to_have_count(2)
    page.context.close()
