"""Names in texts: each dotted name and each file that settings, schedules, tasks and packaging name is there."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from audit.tasks import SCHEDULES

ROOT = Path(__file__).parent.parent
OWN = ("audit.", "auditsite.", "dlq.")
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a setting, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)


def of_settings() -> set[str]:
    """The dotted names of ours in the settings. An app's place in the table of loggers is none: it is a key."""
    values = [getattr(settings, name) for name in dir(settings) if name.isupper()]
    return {text for value in values for text in texts_in(value) if text.startswith(OWN) and " " not in text}


def of_tasks() -> set[str]:
    """What is given to django-q2 by name."""
    calls = [
        node
        for path in (ROOT / "audit").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "async_task"
    ]
    texts = {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}
    return {str(text) for text in texts} | {name for name, *_ in SCHEDULES.values()}


def test_names_are_found() -> None:
    assert "audit.middleware.AccessMiddleware" in of_settings()
    assert {"audit.tasks.tick", "audit.tasks.continue_verification"} <= of_tasks()


def test_each_dotted_name_resolves() -> None:
    for name in sorted(of_settings() | of_tasks()):
        try:
            import_string(name)
        except ImportError:
            __import__(name)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_package_data_is_what_is_there(package: str) -> None:
    packed = {path for pattern in PACKAGES[package] for path in (ROOT / package).glob(pattern)}
    assert all(any((ROOT / package).glob(pattern)) for pattern in PACKAGES[package])
    there = {path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in there if path.suffix != ".py"} == {path for path in packed if path.suffix != ".py"}
