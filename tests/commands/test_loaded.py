"""Commands and processes of ingest load no pages; what looks at pages has them all."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import SystemCheckError

from audit.imports import catalogue

ROOT = Path(__file__).parents[2]
LOADED = """
import sys
import django
django.setup()
from django.contrib import admin
from django.core import checks
from django.core.management import get_commands, load_command_class
import auditsite.ingest_urls
command = load_command_class(get_commands()["import"], "import")
command.check(tags=command.requires_system_checks)
pages = {"audit.admin", "auditsite.urls"}
print(*sorted(pages & sys.modules.keys()), len(admin.site._registry))
checks.run_checks(tags=["admin"])
print(*sorted(pages & sys.modules.keys()), len(admin.site._registry) > 20)
"""


@pytest.mark.slow
def test_a_command_loads_no_pages_and_a_check_of_them_loads_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    command = [sys.executable, "-m", "auditsite.offline", "python", "-c", LOADED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0", "audit.admin True"]


def test_what_settings_name_is_checked_before_a_command(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "door.toml").write_text("no mapping", encoding="utf-8")
    settings.IMPORT_MAPPINGS_DIR = tmp_path
    command: Any = load_command_class(get_commands()["import"], "import")
    with pytest.raises(SystemCheckError, match=r"audit\.E021"):
        command.check(tags=command.requires_system_checks)
    catalogue._every.cache_clear()
