"""faults: why a target did not take a batch, and what follows from it."""

from collections.abc import Mapping


class TargetFault(Exception):
    """The target did not take the batch. The text names the target's answer, and no secret."""


class Unavailable(TargetFault):
    """It may take the same batch later; not before `retry_after_s`, where it said so."""

    def __init__(self, text: str, retry_after_s: float | None = None):
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Misconfigured(TargetFault):
    """It refuses whatever comes, until a person changes something: a wrong token, a wrong path, a full quota."""


class RecordsRefused(TargetFault):
    """It refuses these records of the batch for what they are, by their log entries; `whole` where it took the rest.

    With `is_sure` false it refused the batch and did not say for which record: the batch is halved until one is alone.
    """

    def __init__(self, why: Mapping[int, str], *, is_sure: bool = True):
        super().__init__("; ".join(f"log entry {index}: {text}" for index, text in list(why.items())[:3]))
        self.why, self.is_sure = dict(why), is_sure
