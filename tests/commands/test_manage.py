"""What the pages write after `manage.py` is what the commands take."""

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from tests.commands import named

MANAGED = sorted({tuple(words) for words in named.managed()})


def test_the_pages_name_many() -> None:
    assert len(MANAGED) > 40


@pytest.mark.parametrize("words", MANAGED, ids=" ".join)
def test_a_command_takes_what_the_pages_write(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    name, *rest = words
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    if len(rest) > 1 or any(word.startswith("-") for word in rest):
        assert parser.parse_args(rest)
        return
    # A bare name in a sentence may leave out what the command asks for.
    with pytest.raises(SystemExit) as end:
        parser.parse_args([*rest, "--help"])
    assert end.value.code == 0, capsys.readouterr().err


def test_a_wrong_option_would_be_seen() -> None:
    parser = load_command_class(get_commands()["verify"], "verify").create_parser("manage.py", "verify")
    with pytest.raises((CommandError, SystemExit)):
        parser.parse_args(["--no-such-option"])
