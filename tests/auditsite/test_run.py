"""`make run`, as far as it can be looked at without starting it."""

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
