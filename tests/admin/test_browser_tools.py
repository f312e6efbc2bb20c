"""Where what the browser tests are made of is missing, they are not collected: these say so."""

import pytest


@pytest.mark.parametrize("module", ["playwright.sync_api", "axe_core_python.sync_playwright"])
def test_the_browser_tests_are_there(module: str) -> None:
    reason = f"no test in tests/admin/browser runs: `{module}` cannot be imported; run `make clean test`"
    pytest.importorskip(module, reason=reason, exc_type=ImportError)
