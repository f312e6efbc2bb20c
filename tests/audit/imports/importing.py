"""`manage.py import` in a process of its own, with portions of three, which may be ended at a moment that is asked for.

Run as `python -m tests.audit.imports.importing WHAT ARGUMENTS`. At the fourth portion that comes back from a process
that converts, WHAT is done: "nothing", "worker" (one of them is killed), "self" (this process is), "ctrl-c" (all are
interrupted). Then, and at the end, the ids of all that convert are printed.
"""

import os
import signal
import sys
from typing import Any

AT = 4


def main(what: str, *arguments: str) -> None:
    """Import, and do it on the way."""
    import django

    django.setup()
    from django.core.management import call_command

    from audit.imports import converters, run

    run.PORTION, run.SAVED_EVERY_S = 3, 0.0
    receive, begin = converters._Process.receive, converters._Process.__init__
    ids: list[int] = []
    received = 0

    def begun(self: Any, *given: Any) -> None:
        begin(self, *given)
        ids.append(self._process.pid)

    def ended(self: Any) -> Any:
        nonlocal received
        received += 1
        if received == AT:
            print("converters", *ids, flush=True)
            if what == "worker":
                os.kill(self._process.pid, signal.SIGKILL)
            elif what == "self":
                os.kill(os.getpid(), signal.SIGKILL)
            elif what == "ctrl-c":
                os.killpg(0, signal.SIGINT)
        return receive(self)

    converters._Process.__init__ = begun  # type: ignore[method-assign]
    converters._Process.receive = ended  # type: ignore[method-assign]
    call_command("import", *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
