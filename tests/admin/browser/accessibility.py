"""What axe finds wrong with a page, and which pages `make test` shows it.

Axe takes three times as long as the page. `make test` shows it each kind of page once in each process, in the state in
which the first test that comes by has it; `make test-long` shows it every page at which a test stops.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_core_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SHOTS = Path(__file__).parents[3] / ".local" / "screenshots"
WIDE, NARROW = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
# What a dark scheme can break; to all other rules of axe it is the same page.
OF_COLOURS = ("color-contrast",)
# What scrolls on a narrow screen alone has to be reached by keyboard too.
OF_SCROLLING = ("scrollable-region-focusable",)
SIDEWAYS = """() => document.scrollingElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth
        && !one.closest(".scroll, .results")).slice(0, 3).map((one) => one.outerHTML.slice(0, 150))"""
SMALL = """() => [...document.querySelectorAll("button, summary, select, a.button, input:not([type=hidden])")]
    .filter((one) => one.checkVisibility() && !one.closest(".visually-hidden"))
    .filter((one) => { const at = one.getBoundingClientRect(); return Math.min(at.width, at.height) < 24; })
    .map((one) => one.outerHTML.slice(0, 150))"""
# A table of many columns is read from above to below there, not through a slot.
CUT = """() => [...document.querySelectorAll("#result_list, .plain")]
    .filter((table) => table.checkVisibility() && table.tHead)
    .filter((table) => table.scrollWidth > table.parentElement.clientWidth + 1)
    .map((table) => table.caption?.textContent ?? table.id)"""
# The rows of a list are made by one template: axe looks at the first eight.
LIKE_THOSE_ABOVE = "tbody > tr:nth-child(n+9)"
# What moves is looked at where it ends: half-way from the light to the dark no colour is one that anybody reads by.
AT_REST = """() => document.getAnimations().filter((moves) => Number.isFinite(moves.effect.getComputedTiming().endTime))
    .forEach((moves) => moves.finish())"""
SEEN_AS = f"[innerWidth <= {NARROW['width']}, matchMedia('(prefers-color-scheme: dark)').matches]"


class Looks:
    """At which pages axe looks: at all, or at each kind once."""

    def __init__(self) -> None:
        self.at_all = False
        self._seen: set[Any] = set()

    def is_due(self, page: Page, rules: tuple[str, ...]) -> bool:
        look = (kind(page), rules, *page.evaluate(SEEN_AS))
        is_new = look not in self._seen
        self._seen.add(look)
        return self.at_all or is_new


looks = Looks()


def kind(page: Page) -> str:
    """The path of a page, whatever object it shows."""
    return re.sub(r"/[^/]*\d[^/]*(?=/)", "/N", urlsplit(page.url).path)


def picture(page: Page, name: str) -> None:
    """Of the whole page, for whoever set SCREENSHOTS: it takes longer than the page."""
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def violations(page: Page, *rules: str) -> list[str]:
    """What axe finds wrong with the page at hand, of any impact: of all its rules, or of these."""
    if not looks.is_due(page, rules):
        return []
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    page.evaluate(AT_REST)
    # Only the violations: what passed is megabytes, and was most of the time.
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    script = "([left, options]) => axe.run({exclude: [[left]]}, options).then(result => result.violations)"
    return [
        f"{violation['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for violation in page.evaluate(script, [LIKE_THOSE_ABOVE, options])
        for node in violation["nodes"][:1]
    ]
