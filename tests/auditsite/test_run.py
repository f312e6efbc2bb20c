"""`make run`, as far as it can be looked at without starting it."""

import subprocess
import sys

import psutil
import pytest
from django.core.management import get_commands, load_command_class

from auditsite import run


@pytest.mark.parametrize(
    "arguments", [command for _, *commands in run.PREPARATIONS for command in commands], ids=lambda command: command[0]
)
def test_every_preparation_is_a_command_with_arguments_that_it_takes(arguments: tuple[str, ...]) -> None:
    name, *rest = arguments
    command = load_command_class(get_commands()[name], name)
    assert command.create_parser("manage.py", name).parse_args(rest)


def test_every_service_is_there() -> None:
    assert [service.name for service in run._services(8000, 8001)] == ["web", "ingest", "queue", "drain", "seal"]


RUN = """
import os, threading
from auditsite import run
starter = os.getppid()
print(os.getpid(), flush=True)
run.keep_running([], {}, threading.Event(), starter)
"""
START = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_it_ends_when_the_make_that_started_it_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", START, RUN], stdout=subprocess.PIPE, text=True) as make:
        assert make.stdout is not None
        running = psutil.Process(int(make.stdout.readline()))
        make.kill()
    _, alive = psutil.wait_procs([running], timeout=60)
    assert not alive
