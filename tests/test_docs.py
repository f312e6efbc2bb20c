"""The documentation names what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    parts = [ROOT / "auditsite" / name for name in ("settings.py", "buckets.py", "replica.py")]
    source = "".join(part.read_text(encoding="utf-8") for part in parts)
    read = set(re.findall(r'(?:env\.\w+|secret|database|redis_address)\(\s*"([A-Z][A-Z0-9_]+)"', source))
    keys = re.findall(r'key_file\(\s*"([A-Z_]+)"', source)
    read |= {f"{name}_{kind}" for name in keys for kind in ("FILE", "DIR")}
    documented = re.findall(r"^\| `([A-Z0-9_]+)`", page("settings.md"), re.MULTILINE)
    assert sorted(documented) == sorted(read), "each once"


@pytest.mark.parametrize("app", ["audit", "dlq"])
def test_every_check_is_documented(app: str) -> None:
    places = [ROOT / app / "checks.py", *(ROOT / app).glob("postgres/connecting/addresses.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in places)
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


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md"])
def test_every_file_that_a_guide_names_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:audit|dlq|auditsite|docs|templates|tests|bench)/[\w./]+)`", text))
    assert len(files) > 15
    assert {file for file in files if not (ROOT / file).exists()} == set()


def test_the_places_that_hash_a_leaf_name_each_other() -> None:
    places = ("formats/entry.py", "formats/canonical.py", "sql/0003_log.sql", "verifier/records.js", "verify.py")
    for place in places:
        text = (ROOT / ("" if place == "verify.py" else "audit") / place).read_text(encoding="utf-8")
        assert [other for other in places if other not in (place, *re.findall(re.escape(other), text))] == [], place


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for app in ("audit", "dlq", "auditsite", "bench") for path in (ROOT / app).rglob("*.py")]
    assert {str(path): n for path in modules if (n := len(path.read_text().splitlines())) > 400} == {}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_alerts_name_only_metrics_that_there_are() -> None:
    text = Client().get("/metrics").content.decode()
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | NOT_ALWAYS_THERE
    for rule in alerts():
        named = set(re.findall(r"\b(?:audit|dlq)_\w+", rule["expr"]))
        assert named, rule["alert"]
        assert {name for name in named if name not in known and name.removesuffix("_total") not in known} == set()


NOT_ALWAYS_THERE = {"dlq_room_hours", "dlq_last_watch_timestamp_seconds", "dlq_last_tick_timestamp_seconds"}
"""Shown only once a watcher or schedule ran, or where Redis has a limit; tests/dlq holds that they are then."""


def test_no_two_alerts_have_one_name() -> None:
    """Alertmanager would take them for one."""
    names = [rule["alert"] for rule in alerts()]
    assert sorted(set(names)) == sorted(names)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    sections = re.findall(r"^## (.+)$", page("runbooks.md"), re.MULTILINE)
    anchors = {section.lower().replace(" ", "-") for section in sections}
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in alerts()} == anchors
    for rule in alerts():
        assert rule["annotations"]["runbook"].startswith("docs/runbooks.md#")
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket")
