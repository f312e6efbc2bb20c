"""The documentation names what there is."""

import re
from pathlib import Path

import pytest
from django.test import Client

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    source = (ROOT / "auditsite" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'(?:env\.\w+|secret|database)\(\s*"([A-Z][A-Z0-9_]+)"', source))
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", page("settings.md"), re.MULTILINE))
    assert documented == read


@pytest.mark.parametrize("app", ["audit", "dlq"])
def test_every_check_is_documented(app: str) -> None:
    source = (ROOT / app / "checks.py").read_text(encoding="utf-8")
    for number in set(re.findall(rf'"(?:{app}\.)?([EW]\d{{3}})"', source)):
        assert re.search(rf"{app}\.[^|]*{number}", page("deployment.md")), f"{app}.{number}"


def test_every_metric_is_documented() -> None:
    text = Client().get("/metrics").content.decode()
    names = set(re.findall(r"^# TYPE ((?:audit|dlq)_\w+?)(?:_created)? ", text, re.MULTILINE))
    assert {name for name in names if name.removesuffix("_total") not in page("operations.md")} == set()


def test_every_link_between_pages_leads_somewhere() -> None:
    for source in [ROOT / "README.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", source.read_text(encoding="utf-8")):
            assert (source.parent / target).exists(), f"{source.name}: {target}"


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for app in ("audit", "dlq", "auditsite", "bench") for path in (ROOT / app).rglob("*.py")]
    assert {str(path): n for path in modules if (n := len(path.read_text().splitlines())) > 400} == {}
