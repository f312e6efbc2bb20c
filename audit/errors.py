"""What the store refuses to do.

AuditError
├── Invalid              an event, a query or a form is not acceptable
├── Immutable            a record was to be changed or removed
├── Unavailable          PostgreSQL is not available now
├── Conflict             an event id was used again with other content
├── NothingKept          neither PostgreSQL nor the dead letter queue took the event
│   └── RulesUnknown     which members must be erasable is not known, so no event is taken
├── NotSealed            the record is not in a checkpoint yet
├── LogDamaged           the log in the database is not the one that was signed
├── KeyMissing           there is no key to sign or verify with
│   ├── KeyUnknown       a key of the log is not known here
│   └── TokenFailed      the token that has the key of the log does not sign
├── ClocksDisagree       this host's time is not PostgreSQL's
├── ExportsOff           no evidence bundles are made here
├── ArchiveUnusable      a folder is not one of an archive of this log, or cannot become one
├── PurgeUnsettled       a purge removes records that are to be read, or has no certificate that is sealed
├── TooManyMatch         more records match than are exported at once
├── BackupFailed         a part of a backup could not be made
└── ResumeRefused        the log cannot go on under a cross-link as things are

The docstring of each class is its default message.
"""

from collections.abc import Sequence


class AuditError(Exception):
    """The audit store refused."""

    def __init__(self, message: str = ""):
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class Immutable(AuditError):
    """Audit records are append-only: to correct one, record a new event that names it."""


class Unavailable(AuditError):
    """PostgreSQL is not available now."""


class Conflict(AuditError):
    """This event id was used before, with other content."""

    # The member of the request at fault.
    field = "event_id"

    def __init__(self, positions: list[int]):
        super().__init__()
        # Positions of the events at fault in the request, from 0.
        self.positions = positions


class NothingKept(AuditError):
    """Neither PostgreSQL nor the dead letter queue confirmed the event: nothing was kept that you may rely on.

    One of them may have been only too late to say so. `event_ids` are those to send the events again with.
    """

    def __init__(self, event_ids: Sequence[str] = ()):
        super().__init__(
            "Neither PostgreSQL nor the dead letter queue confirmed the event: take it that nothing was kept, "
            "and send it again with the same event_id."
        )
        self.event_ids = list(event_ids)


class RulesUnknown(NothingKept):
    """The rules of erasure are not known: neither PostgreSQL nor Redis says them. Nothing was kept: send it again."""

    def __init__(self) -> None:
        AuditError.__init__(self)
        self.event_ids = []


class OnReplica(AuditError):
    """Nothing is decided on what a replica shows that may be behind."""


class NotSealed(AuditError):
    """This record is not covered by a checkpoint yet: try again in a second."""


class LogDamaged(AuditError):
    """The log in the database is not the one that was signed: nothing is signed on top of it."""


class KeyMissing(AuditError):
    """There is no key of the log: make one with `manage.py sealkey create`, and set SEAL_KEY_FILE."""


class KeyUnknown(KeyMissing):
    """A key of this log signed the newest checkpoint that this process does not know: add its public half."""


class TokenFailed(KeyMissing):
    """The token that has the key of the log cannot be used. `kind` tells a wrong PIN, a hang and a crash apart."""

    def __init__(self, text: str, kind: str = ""):
        super().__init__(text)
        self.kind = kind


class NotReplicated(AuditError):
    """PostgreSQL has committed on this server alone: somebody cancelled its wait for the synchronous standby."""


class ClocksDisagree(AuditError):
    """The clocks of this host and of PostgreSQL differ: no time is signed until they agree."""


class ExportsOff(AuditError):
    """No evidence bundles are made here: set EXPORT_DIR to a folder that web processes and workers share."""


class ArchiveUnusable(AuditError):
    """This folder holds no archive of this log."""


class PurgeUnsettled(AuditError):
    """Records were removed by a purge that has no certificate yet: run it to its end (`manage.py purge run`)."""


class TooManyMatch(AuditError):
    """More records match than are exported at once: narrow the query, or ask for an evidence bundle."""


class BackupFailed(AuditError):
    """A part of the backup could not be made: nothing of it is to be relied on."""


class ResumeRefused(AuditError):
    """The log cannot be resumed as things are."""


class Invalid(AuditError, ValueError):
    """The event is not acceptable; `errors` maps each field at fault to what is wrong with it."""

    def __init__(self, errors: dict[str, str]):
        # Names and values of the sender are answered and counted: a lone surrogate in them must not prevent that.
        errors = {_in_utf8(field): _in_utf8(message) for field, message in errors.items()}
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors.items()))
        self.errors = errors


def _in_utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
