"""What commands for operators share."""

import io
import os
import pwd
import socket
import sys
from typing import Any, TextIO, cast

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from audit import safe_text
from audit.access import names
from audit.errors import AuditError
from audit.ledger import known_keys


class HarmlessStream(io.TextIOBase):
    """A stream that escapes control sequences in what others sent before they reach the terminal."""

    def __init__(self, out: TextIO):
        self._out = out

    def write(self, text: str, /) -> int:
        return self._out.write(safe_text.harmless(text))

    def flush(self) -> None:
        # Called once more when this object goes, perhaps after whoever owns the stream has closed it.
        if not getattr(self._out, "closed", False):
            self._out.flush()

    def isatty(self) -> bool:
        return self._out.isatty()


class HarmlessCommand(BaseCommand):
    """A command that may print what others sent; what the store refuses is told without a traceback.

    Before it, what depends on settings is checked. Models, URLs and pages are code, which `manage.py check` looks at:
    to load all of it would be a third of what a command takes to start.
    """

    requires_system_checks = [Tags.security, Tags.compatibility, Tags.caches]  # noqa: RUF012

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.stdout = OutputWrapper(cast(TextIO, HarmlessStream(options.pop("stdout", None) or sys.stdout)))
        self.stderr = OutputWrapper(cast(TextIO, HarmlessStream(options.pop("stderr", None) or sys.stderr)))
        try:
            return super().execute(*args, **options)
        except AuditError as error:
            raise CommandError(str(error)) from None
        finally:
            known_keys.withdraw()


def operator_name() -> str:
    """Return who runs the command: the account of the system, not what the environment says of it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
    # In a container the account may have the name of the store, as which no person acts.
    return f"{name}@{socket.gethostname()}" if names.is_reserved(name) else name
