"""Run several management commands in one process, one after the other: each process takes a second or two to begin.

    python -m auditsite.several migrate --verbosity 0 -- check

The settings are read once: what one command writes for them, another process knows. Ends with the first that fails.
"""

import os
import sys
from itertools import groupby

from django.core.management import execute_from_command_line

SEPARATOR = "--"


def main(arguments: list[str]) -> None:
    """Run the commands; the first that fails ends the process with its exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    for is_command, words in groupby(arguments, lambda word: word != SEPARATOR):
        if is_command:
            execute_from_command_line(["manage.py", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
