"""What a machine lacks decides no test: whatever optional library fails or warns, the suite is collected."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OPTIONAL = ("weasyprint", "playwright", "axe_core_python")
# What the import of such a library does on some machines, put in the way of all of them.
FINDER = f"""
import sys
import warnings
from importlib.abc import MetaPathFinder


class InTheWay(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {OPTIONAL}:
            ACT


sys.meta_path.insert(0, InTheWay())
"""
WARN = "warnings.warn('libharfbuzz-subset cannot be loaded', UserWarning, stacklevel=1)"
NO_PANGO = "raise OSError('cannot load library libpango-1.0-0')"
MISSING = f"{NO_PANGO} if name == 'weasyprint' else ImportError(name)"
ACTS = [
    pytest.param(MISSING, id="each is missing, WeasyPrint for want of Pango"),
    pytest.param(WARN, id="each warns", marks=pytest.mark.long),
]


# Where they are used; the whole suite is collected by `make test-long`.
USING = ("tests/admin", "tests/audit/reports", "tests/test_optional_parts.py")


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("where", [USING, pytest.param((), marks=pytest.mark.long, id="all")])
def test_the_suite_is_collected_although(where: tuple[str, ...], act: str, tmp_path: Path) -> None:
    (tmp_path / "in_the_way.py").write_text(FINDER.replace("ACT", act), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "in_the_way", "--collect-only", "-q", "-n", "0", *where]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "test_optional_parts" in done.stdout
