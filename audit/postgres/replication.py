"""Notice where PostgreSQL confirms a commit that its synchronous standby has not.

Whoever may cancel statements can cancel that wait: PostgreSQL then says that the commit succeeded, with a warning
beside it, and a failover would lose what was written. (A statement_timeout never ends that wait, and a connection that
is ended gets no answer.)
"""

from typing import Any

WAITS = "SyncRepWaitForLSN"


class Unreplicated:
    """Whether a connection was told so; it is asked after each commit that something is promised upon."""

    def __init__(self) -> None:
        self._told = False

    def note(self, diagnostic: Any) -> None:
        """Take a notice of PostgreSQL. By the function that warns, for the text is in the language of the server."""
        if diagnostic.severity_nonlocalized == "WARNING" and diagnostic.source_function == WAITS:
            self._told = True

    def taken(self) -> bool:
        """Return it, and forget it."""
        told, self._told = self._told, False
        return told
