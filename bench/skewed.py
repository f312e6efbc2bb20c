"""Run a management command under a clock that is wrong: `python -m bench.skewed SECONDS COMMAND...`.

It is wrong by SECONDS, and by what the file DRILL_CLOCK says meanwhile.
"""

import sys

from bench import clock

if __name__ == "__main__":
    clock.install(float(sys.argv[1]))
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[2:]])
