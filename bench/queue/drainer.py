"""One pass of `drain_dlq` of whatever commit is on PYTHONPATH, begun when a line comes in, and timed.

It is run by its path, in the folder of that commit, and so imports nothing of ours. Prints "ready", then "drained" and
the seconds, and ends when it is told to, which it says again: what its end costs is in nobody's measurement.
"""

import sys
import time
from importlib import import_module

import django


def main() -> None:
    """Get everything ready, wait, drain."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    import_module("audit.management.commands.drain_dlq")
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    try:
        call_command("drain_dlq")
    except SystemExit as ended:
        if ended.code:
            raise
    print("drained", time.perf_counter() - started, flush=True)
    print(sys.stdin.readline(), end="")


if __name__ == "__main__":
    main()
