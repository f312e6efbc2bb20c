"""The errors of the queue.

DlqError
├── Paused    a person keeps drains from the queue
└── Refused   Redis is down, hung, full or otherwise did not do what it was asked
    └── RebuildRunning   another process makes the indexes again

The docstring of each class is its default message.
"""


class DlqError(Exception):
    """The dead letter queue refused."""

    def __init__(self, message: str = ""):
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class Paused(DlqError):
    """A person keeps drains from the queue."""


class Refused(DlqError):
    """Redis did not answer, or refused."""


class RebuildRunning(Refused):
    """Another process makes the indexes of the queue again. Wait until it has ended, then look at the account."""
