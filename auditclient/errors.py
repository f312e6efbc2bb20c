"""What goes wrong, as one tree: the docstring of each error is its message where none is given."""


class AuditError(Exception):
    """The audit client could not do it."""

    def __init__(self, message: str = ""):
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(AuditError):
    """The configuration does not hold."""


class InvalidEvent(AuditError):
    """This is no event: nothing was kept."""


class Closed(AuditError):
    """The client is closed: nothing was kept."""


class NotKept(AuditError):
    """No tier took the event: record the same `event` again, unless the message says that it is in the spool."""

    def __init__(self, message: str, event: dict[str, object]):
        super().__init__(message)
        # With its id: recorded again, it is the same event.
        self.event = event


class NotAReceipt(AuditError):
    """The text is not a receipt that a known key has signed."""


def not_kept(fault: str, *, is_written: bool) -> str:
    """What to say where no tier elsewhere answers."""
    if is_written:
        return (
            f"The event is in the spool, which is not flushed: {fault}. It is sent if this host lives on: leave it so."
        )
    return f"Nothing was kept: {fault}, and neither the store nor its queue answers."
