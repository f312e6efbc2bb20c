"""Tests in a browser wait for what a click brings; what is counted at once may be counted before the page is there."""

import ast
from collections.abc import Iterator
from pathlib import Path

BROWSER = Path(__file__).parent / "admin" / "browser"
# They answer for the moment; `expect` of Playwright has the same, and asks until it is so.
AT_ONCE = {
    "count",
    "all",
    "is_visible",
    "is_hidden",
    "is_enabled",
    "is_checked",
    "all_inner_texts",
    "all_text_contents",
}


def asked_at_once(source: str) -> Iterator[str]:
    """What is asserted of a locator without waiting for it."""
    for claim in ast.walk(ast.parse(source)):
        for call in ast.walk(claim.test) if isinstance(claim, ast.Assert) else ():
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", "") not in AT_ONCE:
                continue
            asked = ast.unparse(call.func)
            if "locator(" in asked or "get_by_" in asked:
                yield f"{call.lineno}: {asked}"


def test_what_is_asked_at_once_is_seen() -> None:
    assert list(asked_at_once("assert page.locator('a').count() == 1")) == ["1: page.locator('a').count"]
    assert list(asked_at_once("expect(page.locator('a')).to_have_count(1)")) == []


def test_no_test_in_a_browser_asks_at_once() -> None:
    at_once = {str(path.relative_to(BROWSER)): list(asked_at_once(path.read_text())) for path in BROWSER.rglob("*.py")}
    assert {path: lines for path, lines in at_once.items() if lines} == {}
