"""Run a management command under a clock that is wrong: `python -m bench.skewed SECONDS COMMAND...`."""

import sys
import time

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    seconds, right = float(sys.argv[1]), time.time
    time.time = lambda: right() + seconds
    execute_from_command_line(["manage.py", *sys.argv[2:]])
