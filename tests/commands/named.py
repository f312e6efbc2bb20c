"""The commands that the README, the documentation and `make help` name."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^ {4,}(\S.*)$|`([^`\n]+)`", re.MULTILINE)
# What stands for something of the reader's own, and what may stand there.
PLACEHOLDERS = {
    "EVENT_ID": "00000000-0000-7000-8000-000000000000",
    "FILE": "file",
    "NAME": "name",
    "TEXT": "text",
    "N": "1",
    "DATE": "2026-08-18",
    "URI": "pkcs11:token=label;object=label?module-path=file&pin-source=file",
}


def targets() -> list[str]:
    """The targets that `make help` lists."""
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def code() -> list[str]:
    """Every line of code of the pages and every piece of code in their text, without remarks."""
    found = []
    for page in PAGES:
        for line, piece in CODE.findall(page.read_text(encoding="utf-8")):
            found.append(re.split(r"\s+#|\s{3,}", line or piece)[0].strip())
    return found


def made() -> set[str]:
    """The targets of make that the pages name."""
    return {name for text in code() for name in re.findall(r"\bmake ([a-z][a-z-]*)", text)}


def managed() -> list[list[str]]:
    """The arguments of every `manage.py` command that the pages name, placeholders filled in."""
    found = []
    for text in code():
        for said in re.findall(r"manage\.py ([a-z_].*)", text):
            found += [_filled(words) for words in _variants(re.split(r"\s[>|]|;", said)[0])]
    return found


def _variants(said: str) -> list[list[str]]:
    """`dlq pause / resume` are two commands."""
    first, *others = said.split(" / ")
    words = shlex.split(first)
    return [words, *([words[0], *shlex.split(other)] for other in others)]


def _filled(words: list[str]) -> list[str]:
    return [PLACEHOLDERS.get(word.removesuffix("..."), word) for word in words if word != "..."]


def blocks(page: str, language: str) -> list[str]:
    """The examples of a page that say of themselves that a test runs them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"<!-- run by a test -->\n```{language}\n(.*?)```", text, re.DOTALL)
