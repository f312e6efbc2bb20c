"""Run a management command under a clock that is wrong: `python -m bench.skewed SECONDS COMMAND...`.

It is wrong by SECONDS, and by what the file DRILL_CLOCK says meanwhile.
"""

import socket
import sys

from bench import clock

if __name__ == "__main__":
    clock.install(float(sys.argv[1]))
    # A clock belongs to a host: a process with another clock stands for another host.
    host = socket.gethostname()
    socket.gethostname = lambda: f"{host}+{sys.argv[1]}s"
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[2:]])
