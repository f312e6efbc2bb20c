"""Bars of commands on standard error, so that the output can be read by programs."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn

# To draw takes milliseconds, in which no other thread of the command works.
DRAWN_A_SECOND = 4


def bar(*columns: ProgressColumn, disable: bool = False) -> Progress:
    """Return a bar. Where standard error is no terminal, it is written once, at its end."""
    console = Console(stderr=True)
    return Progress(
        *columns,
        console=console,
        auto_refresh=console.is_terminal,
        refresh_per_second=DRAWN_A_SECOND,
        disable=disable,
    )
