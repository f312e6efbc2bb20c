"""A bar takes no time of a command that nobody watches."""

import threading

import pytest
from rich.progress import TextColumn

from audit.management.bars import bar


def threads_while_shown() -> int:
    before = threading.active_count()
    with bar(TextColumn("drawn")) as shown:
        shown.add_task("drawn", total=1)
        return threading.active_count() - before


def test_a_thread_draws_a_bar_in_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threads_while_shown() == 0
    assert capsys.readouterr().err == "drawn\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert threads_while_shown() == 1
