"""One word a thing: what the glossary retires does not stand in templates, docs and help texts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<word>[^|]+) \|[^|]+\| (?P<retired>[^|]*)\|$", re.MULTILINE)


def retired() -> list[str]:
    """The words of the last column, without what stands in brackets."""
    columns = [match["retired"] for match in ROW.finditer(GLOSSARY.read_text(encoding="utf-8"))]
    texts = [re.sub(r"\([^)]*\)", "", column) for column in columns if column.strip() not in ("", "instead of")]
    return [word.strip() for text in texts for word in text.split(",")]


def pages() -> Iterator[tuple[str, str]]:
    """What people read: templates without their tags, docs without code."""
    for path in sorted((ROOT / "templates").rglob("*.html")):
        yield str(path.relative_to(ROOT)), re.sub(r"\{[%#].*?[%#]\}|\{\{.*?\}\}|<[^>]+>", " ", path.read_text())
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if path != GLOSSARY:
            yield str(path.relative_to(ROOT)), re.sub(r"`[^`\n]*`|^ {4}.*$", " ", path.read_text(), flags=re.MULTILINE)


def help_texts() -> Iterator[tuple[str, str]]:
    """What forms and commands say of themselves."""
    for model in apps.get_app_config("audit").get_models():
        for field in model._meta.get_fields():
            yield f"{model.__name__}.{field.name}", str(getattr(field, "help_text", ""))
    for name, app in get_commands().items():
        if app == "audit":
            yield f"manage.py {name}", load_command_class(app, name).help


def test_the_glossary_retires_words() -> None:
    assert {"in hand", "taken care of", "himself"} <= set(retired())


@pytest.mark.parametrize("word", retired())
def test_a_retired_word_stands_nowhere(word: str) -> None:
    pattern = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    assert [place for place, text in (*pages(), *help_texts()) if pattern.search(text)] == []
