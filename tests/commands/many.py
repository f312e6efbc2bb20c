"""Run many `manage.py` commands in one process, for each would take seconds to begin.

Reads a JSON list of argument lists from standard input; prints for each its exit status and its last line, as JSON.
"""

import json
import runpy
import sys
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper


def run(arguments: list[str]) -> tuple[int, str]:
    """Do what `manage.py` with these arguments does; return its exit status and the last line that it printed."""
    raw, status = BytesIO(), 0  # some commands write bytes below the text
    printed = TextIOWrapper(raw, encoding="utf-8", write_through=True)
    sys.argv = ["manage.py", *arguments]
    with redirect_stdout(printed):
        try:
            runpy.run_path("manage.py", run_name="__main__")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return status, (raw.getvalue().decode().rstrip().splitlines() or [""])[-1].strip()


if __name__ == "__main__":
    print(json.dumps([run(arguments) for arguments in json.load(sys.stdin)]))
