"""`pytest --fast`: the tests of what is promised to writers, in well under a minute; nothing else is even imported.

Left out whole are pages, files and drills: they protect what people look at and take away, and cost nine tenths of the
time. Of the rest, the tests marked `slow`, `browser` and `long` are left out.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
LEFT_OUT = (
    "admin",
    "api/test_exports.py",
    "api/test_ledger.py",
    "api/test_openapi.py",
    "api/test_reports.py",
    "attacks",
    "audit/access/test_access_log.py",
    "audit/access/test_limits.py",
    "audit/access/test_tokens.py",
    "audit/accounting",
    "audit/archive",
    "audit/completeness",
    "audit/evidence",
    "audit/expectations",
    "audit/formats/test_canonical.py",
    "audit/formats/test_grammar.py",
    "audit/formats/test_merkle.py",
    "audit/formats/test_multiproof.py",
    "audit/formats/test_note.py",
    "audit/formats/test_tiles.py",
    "audit/ledger",
    "audit/management",
    "audit/queue/test_quarantine.py",
    "audit/queue/redis_roles",
    "audit/receipts",
    "audit/recovery",
    "audit/reports",
    "audit/retention",
    "audit/review",
    "audit/search",
    "audit/test_checks.py",
    "audit/verifier",
    "commands",
    "dlq/test_rebuild.py",
    "test_names.py",
    "verify_file",
)
# A module's mark for all of its tests, at the start of a line.
MARKED = re.compile(r"^pytestmark = .*pytest\.mark\.(slow|browser)\b", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run only the fast tests of what writers are promised")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module of which all is left out: imports are a third of the time."""
    if not config.option.fast:
        return None
    if any(collection_path == ROOT / folder for folder in LEFT_OUT):
        return True
    is_module = collection_path.name.startswith("test_")
    return (is_module and bool(MARKED.search(collection_path.read_text(encoding="utf-8")))) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.fast:
        items[:] = [
            item for item in items if not {mark.name for mark in item.iter_markers()} & {"slow", "browser", "long"}
        ]
