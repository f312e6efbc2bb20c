"""Whatever is done to a file or a key, verify.py and the page say the same of it, in the same words."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audit.evidence import statements
from tests.audit.evidence import test_purged_leaves as of_purged_leaves
from tests.audit.evidence import test_statements as of_statements
from tests.audit.evidence.conftest import PINNED, of_correlation, of_range, path
from tests.verify_file.conftest import LOG, honest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Of 200 mutated inputs the first few are in `make test`.
MUTATED, SAMPLE = 200, 16


def _flip(body: bytes, place: int, random: Random) -> bytes:
    return body[:place] + bytes([body[place] ^ 1 << random.randrange(8)]) + body[place + 1 :]


def _swap(body: bytes, place: int, random: Random) -> bytes:
    return body[:place] + bytes(reversed(body[place : place + 2])) + body[place + 2 :]


def _leave_out(body: bytes, place: int, random: Random) -> bytes:
    return body[:place] + body[place + random.randrange(1, 40) :]


def _repeat(body: bytes, place: int, random: Random) -> bytes:
    end = place + random.randrange(1, 40)
    return body[:end] + body[place:]


def _cut(body: bytes, place: int, random: Random) -> bytes:
    return body[:place]


def _drop_line(body: bytes, place: int, random: Random) -> bytes:
    lines = body.splitlines(keepends=True)
    del lines[random.randrange(len(lines))]
    return b"".join(lines)


def _other_digit(body: bytes, place: int, random: Random) -> bytes:
    digits = [at for at, sign in enumerate(body) if chr(sign).isdigit()] or [place]
    at = random.choice(digits)
    return body[:at] + random.choice(b"0123456789").to_bytes() + body[at + 1 :]


MUTATIONS: list[Callable[[bytes, int, Random], bytes]] = [
    *(_flip, _flip, _flip, _swap, _leave_out, _repeat, _cut, _drop_line, _other_digit, _other_digit)
]


@pytest.fixture(scope="module")
def whole(scene: Any) -> dict[str, tuple[str, bytes, tuple[str, ...]]]:
    """A file of each kind: the command that verifies it, its bytes, and the keys that do."""
    leaves = path(of_range(3, with_csv=True)).read_bytes()
    stated = of_statements.text_of(statements.make(of_statements.requester(), of_statements.nobody()))
    return {
        "range.zip": ("evidence", leaves, PINNED),
        "purged.zip": ("evidence", _of_purged(scene), PINNED),
        "found.zip": ("evidence", path(of_correlation()).read_bytes(), PINNED),
        "bundle.jsonl": ("", honest(), ("--key", LOG.vkey())),
        "statement.txt": ("statement", stated.encode(), PINNED),
    }


def _of_purged(scene: Any) -> bytes:
    """A bundle of a range of which a purge removed records, of a store of its own."""
    with scene.outside(), scene.fresh():
        return path(of_purged_leaves.of_purged(with_csv=True)).read_bytes()


@pytest.mark.parametrize(
    "number", [number if number < SAMPLE else pytest.param(number, marks=pytest.mark.long) for number in range(MUTATED)]
)
def test_the_same_is_said_of_a_mutated_input(whole: Any, both: Any, tmp_path: Path, number: int) -> None:
    random = Random(number)
    name = list(whole)[number % len(whole)]
    way, body, keys = whole[name]
    if number % 11 == 10:  # a typing error in a key
        place = random.randrange(1, len(keys), 2)
        keys = (*keys[:place], _flip_text(keys[place], random), *keys[place + 1 :])
    else:
        for _ in range(random.randrange(1, 3)):
            body = random.choice(MUTATIONS)(body, random.randrange(len(body)), random)
    file = tmp_path / name
    file.write_bytes(body)
    both(way, file, *keys)


def _flip_text(text: str, random: Random) -> str:
    place = random.randrange(len(text))
    return text[:place] + random.choice("abcXYZ019+/") + text[place + 1 :]


def test_the_same_is_said_of_a_zip_that_bytes_were_put_into(whole: Any, both: Any, tmp_path: Path) -> None:
    for name, (way, body, keys) in whole.items():
        if name.endswith(".zip"):
            for place in (10, 200, len(body) - 300):
                file = tmp_path / name
                file.write_bytes(body[:place] + bytes(15) + body[place:])
                both(way, file, *keys)
