"""The page that verifies in the browser says what verify.py says of what is redacted, drawn, stated or answered."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from audit.evidence import statements
from audit.evidence.request import Requester
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import WIDE_AND_NARROW, Verifier, using, zipped
from tests.audit.evidence import test_extract as of_extracts
from tests.audit.evidence import test_redaction as of_redaction
from tests.audit.evidence import test_sampling as of_samples
from tests.audit.evidence import test_statements as of_statements
from tests.audit.evidence.conftest import PINNED, path, redacted_bundle, rules, sealed, unpacked
from tests.audit.evidence.conftest import made as exported
from tests.auditor import W1

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["redacted_bundle", "rules"]

OFFICER = Requester("tests", may_unredacted=True)


@pytest.fixture
def checked(both: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """As in the module that the test comes from, but whatever verify.py says there, the page must say too."""

    def of_text(way: str, name: str, keys: tuple[str, ...]) -> Any:
        def checked(body: str | bytes, *arguments: str) -> Any:
            file = tmp_path / name
            file.write_bytes(body.encode() if isinstance(body, str) else body)
            return both(way, file, *keys, *arguments)

        return checked

    def of_sample(way: str, where: Path, *others: Path) -> Any:
        return both(way, zipped(where), *PINNED, others=others)

    def of_bundle(where: Path, *arguments: str) -> Any:
        return both("evidence", zipped(where), *PINNED, *arguments)

    ways = {
        of_redaction: of_bundle,
        of_samples: of_sample,
        of_statements: of_text("statement", "statement.txt", PINNED),
        of_extracts: of_text("export", "export.json", PINNED[2:]),
    }
    return next(way for module, way in ways.items() if module.__name__ == request.function.__module__)


# Every test of verify.py that checks one of these is run here as well, with the page beside it; a few by `make test`.
SAMPLED = {
    "test_a_bundle_that_has_not_all_of_the_leaves_shows_nothing",
    "test_a_redacted_bundle_proves_each_place_and_says_what_it_does_not",
    "test_a_sample_of_a_range_is_drawn_again_without_the_range",
    "test_a_sample_that_was_chosen_and_not_drawn_is_found_with_the_range",
    "test_a_statement_that_was_changed_or_signed_by_another_is_refused",
    "test_an_answer_that_was_changed_is_refused",
    "test_it_is_redacted_as_bundles_are",
    "test_nothing_is_slipped_in_under_cover_of_redaction",
    "test_that_none_matches_is_said_signed_and_recorded",
    "test_the_originals_open_what_was_redacted",
}
for _module in (of_redaction, of_samples, of_statements, of_extracts):
    globals().update(using(_module, "checked"))


def test_names_that_must_be_quoted_are_read_alike(both: Any, rules: Any, tmp_path: Path) -> None:
    kinds = f"redaction.t{secrets.token_hex(4)}"
    kind = f"{kinds}.seen"
    names = ["a.b", "a b", "*", 'a"b', "a\\b", "\u00a0", "\ufeff", "\x1c", "\x85", "\u2028", "Zürich", "\U0001f512"]
    data = {"odd": dict.fromkeys(names, "secret"), "list": ["secret", {"deep": [1.0, None]}], "kept": 2**53 - 1}
    rules("data.odd.*", event_type=kind, method="digest")
    rules("data.list.**.deep", event_type=f"{kinds}.*", method="mask")
    rules("data.list.0", event_type=kind, method="remove")
    word = sealed(2, event_type=kind, event_data=data)
    found, whole = (exported(OFFICER, query=f"correlation:{word}", unredacted=which) for which in (False, True))
    assert both("evidence", path(found), *PINNED)[0] == 4
    originals = unpacked(whole, tmp_path / "whole") / "records-0001.jsonl"
    status, printed = both("evidence", path(found), *PINNED, "--originals", str(originals))
    assert status == 0, printed
    assert "2 redacted records say what their originals say" in printed


def test_a_range_that_is_no_zip_is_refused_by_both(both: Any, tmp_path: Path) -> None:
    sample = exported(OFFICER, query=f"correlation:{sealed(2)}", sample=1)
    for body in (b"PK", b"PK" + bytes(100)):
        file = tmp_path / "damaged.zip"
        file.write_bytes(body)
        status, printed = both("sample", path(sample), *PINNED, others=(file,))
        assert status == 2
        assert "the zip of the bundle is damaged or cut off" in printed


@pytest.mark.parametrize(
    "term",
    [
        {"from": 5},
        {"before": None},
        {"until": []},
        {"field": "actor_id", "equals": [], "begins": [5], "negated": False},
        {"field": "actor_ip", "is": [5]},
    ],
    ids=str,
)
def test_a_term_that_compares_what_cannot_be_compared_shows_nothing(
    both: Any, tmp_path: Path, term: dict[str, Any]
) -> None:
    """Whoever signs statements could else ask what no record answers, and have it called shown that none does."""
    sealed(1, actor_id="ann", actor_ip="192.0.2.7")
    found = statements.make(of_statements.requester(), of_statements.nobody())
    asked = [{"field": "event_timestamp"} | term]
    file = tmp_path / "statement.txt"
    file.write_text(of_statements.said_anew(found, lambda said: said.update(terms=asked)), encoding="utf-8")
    status, printed = both("statement", file, *PINNED, "--range", of_statements.range_of(found))
    assert status == 2, printed


def test_witnesses_count_for_a_sample_too(both: Any) -> None:
    sample = exported(OFFICER, query=f"correlation:{sealed(2)}", sample=1)
    witness = ("--witness", W1.vkey(4))
    status, printed = both("sample", path(sample), *PINNED, *witness, others=(path(exported(OFFICER, query="")),))
    assert status == 3
    assert "fewer than the 1 witnesses that you ask for have cosigned" in printed


@pytest.mark.parametrize(("width", "scheme"), WIDE_AND_NARROW)
def test_what_is_redacted_drawn_or_stated_can_be_seen(
    browser: Browser, site: str, looks: Looks, made: Any, width: int, scheme: str, tmp_path: Path
) -> None:
    verifier = Verifier(browser, site, scheme, width)
    assert verifier.check(path(made()), *PINNED)[0] == "REDACTED"
    verifier.look("redacted")
    sample = exported(OFFICER, query=f"correlation:{sealed(5)}", sample=2, seed="20261123")
    assert verifier.check(path(sample), *PINNED)[0] == "VERIFIED"
    verifier.look("sample")
    file = tmp_path / "statement.txt"
    file.write_text(of_statements.text_of(statements.make(of_statements.requester(), of_statements.nobody())))
    assert verifier.check(file, *PINNED)[0] == "SIGNED"
    verifier.look("signed")
    assert verifier.requests == []
    assert verifier.wrong == []
    verifier.close()
