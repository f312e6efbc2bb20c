"""Run a command that cannot outlive whoever started it.

    python -m auditsite.leash [--signal INT] [--user NAME] -- COMMAND...

The starter keeps our standard input open. When it ends, by `kill -9` too, the pipe closes: the command's process
group gets the stop signal, and 15 s later SIGKILL. SIGTERM and SIGINT to us do the same.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

PATIENCE_S = 15.0


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m auditsite.leash")
    parser.add_argument("--signal", default="TERM", choices=("TERM", "INT"), help="what stops the command")
    parser.add_argument("--user", help="run the command as this user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(
        options.command, stdin=subprocess.DEVNULL, start_new_session=True, user=options.user, group=options.user
    )
    while child.poll() is None and not _told_to_stop(ended):
        pass
    return _stop(child, signal.Signals[f"SIG{options.signal}"])


def _told_to_stop(ended: int) -> bool:
    """Wait for the end of standard input, or for a signal; SIGCHLD only wakes us to look at the child."""
    ready, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
    if ended in ready:
        return bool(set(os.read(ended, 64)) & {signal.SIGTERM, signal.SIGINT})
    return not os.read(sys.stdin.fileno(), 64)


def _stop(child: subprocess.Popen[bytes], number: signal.Signals) -> int:
    if child.poll() is None:
        child.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE_S)
    # What the command left behind in its group ends with it.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    status = child.wait()
    return status if status >= 0 else 128 - status  # as a shell says "ended by a signal"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
