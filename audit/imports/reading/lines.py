"""A file of lines, each with its number, in bounded memory."""

from collections.abc import Iterator

from audit.imports.reading.window import MAX_CHARACTERS, Window

# What stands for a line that is longer than an event may be.
TOO_LONG = None


def lines(window: Window, ends: str = "\r\n") -> Iterator[str | None]:
    """Yield each line without these characters at its end; `TOO_LONG` for one that is. Raises `FileUnreadable`."""
    is_passing = False
    searched = 0
    while True:
        end = window.text.find("\n", window.at + searched)
        if end >= 0:
            line = window.pass_to(end + 1)
            yield TOO_LONG if is_passing else line.rstrip(ends)
            is_passing, searched = False, 0
            continue
        if len(window.text) - window.at >= MAX_CHARACTERS:
            window.pass_to(len(window.text))
            is_passing = True
        searched = len(window.text) - window.at
        if not window.fill():
            break
    if window.at < len(window.text) or is_passing:
        line = window.pass_to(len(window.text))
        yield TOO_LONG if is_passing else line.rstrip(ends)
