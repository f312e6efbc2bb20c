"""A sealer that writes down each head that it signs, whatever becomes of it: `python -m bench.failover.sealer FILE`."""

import json
import os
import sys
from collections.abc import Callable

import django

from audit.formats import note


def write_down(path: str, text: str) -> None:
    """Append what was signed: one write, which a kill cannot tear."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(text).encode() + b"\n")
    finally:
        os.close(file)


def install(path: str) -> None:
    """Have every signature over a head written down before anything else is done with it."""
    sign: Callable[[note.AnySigner, str], str] = note.AnySigner.sign

    def written(self: note.AnySigner, text: str) -> str:
        signature = sign(self, text)
        write_down(path, note.join(text, [signature]))
        return signature

    note.AnySigner.sign = written  # type: ignore[method-assign]


if __name__ == "__main__":
    install(sys.argv[1])
    django.setup()
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "seal", "--follow"])
