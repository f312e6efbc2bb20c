"""What makes a loss visible: heartbeats with the highest number given out, and manifests of what was sent."""

import logging
import time
from datetime import UTC, datetime, timedelta

from auditclient.config import Config
from auditclient.metrics import Counts
from auditclient.sender import Last, Sender
from auditclient.spool import Writer

log = logging.getLogger("auditclient")

MANIFEST_EVENTS_MAX = 100_000


class Numbers:
    """Tells the store of the numbers of this process, and of those that are gone."""

    def __init__(self, config: Config, writers: list[Writer], counts: Counts):
        self._config, self._writers, self._counts = config, writers, counts
        self._begun = datetime.now(UTC)
        self._beat_at = time.monotonic() + config.heartbeat_s
        self._manifest_at = time.monotonic() + config.manifest_s
        # The last number of each epoch that a manifest has named.
        self._named: dict[str, int] = {}

    def due_in_s(self) -> float:
        """Return the seconds until something is due."""
        return max(min(self._beat_at, self._manifest_at) - time.monotonic(), 0.0)

    def tell(self, sender: Sender, *, is_last: bool) -> None:
        """Tell what is due; at the end of the process, everything. What the store does not take is told later."""
        if is_last or time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + self._config.heartbeat_s
            self._beat(sender)
        if is_last or time.monotonic() >= self._manifest_at:
            self._manifest_at = time.monotonic() + self._config.manifest_s
            self._state(sender)

    def _beat(self, sender: Sender) -> None:
        own = [Last(writer.epoch, writer.sequence) for writer in list(self._writers) if writer.sequence]
        ended, sender.ended[:] = list(sender.ended), []
        for each in ended + own:
            answer = sender.store.tell("heartbeats", {"source_seq": each.number, "source_epoch": each.epoch})
            if answer is None:
                if each in ended:
                    sender.ended.append(each)
                continue
            self._counts.add("heartbeats")
            if missing := sum(run["last"] - run["first"] + 1 for run in answer.get("missing", [])):
                self._counts.add("missing", missing)
                log.error("the store lacks %d numbers of the epoch %s", missing, each.epoch)

    def _state(self, sender: Sender) -> None:
        for writer in list(self._writers):
            first = self._named.get(writer.epoch, 0) + 1
            last = min(writer.out(), first + MANIFEST_EVENTS_MAX - 1)
            if last < first:
                continue
            until = datetime.now(UTC) + timedelta(microseconds=1)
            manifest = {
                "since": self._begun.isoformat(),
                "until": until.isoformat(),
                "count": last - first + 1,
                "source_epoch": writer.epoch,
                "first_seq": first,
                "last_seq": last,
            }
            if sender.store.tell("manifests", manifest) is not None:
                self._counts.add("manifests")
                self._named[writer.epoch] = last
