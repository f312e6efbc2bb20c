"""A real Prometheus, on loopback: it scrapes a site and evaluates the rules of deploy/alerts.yml."""

import json
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from auditsite.embedded import Server
from bench.ports import free_port
from tests.deploy import queries

INSTALL = "no Prometheus: apt-get install --no-install-recommends prometheus"
SCRAPED_EVERY_S = 5
# Of a graph: what is drawn, and how finely.
DRAWN_S, STEP_S = 900, 15


def program() -> str | None:
    """The server on PATH, or None."""
    return shutil.which("prometheus")


def tool() -> str | None:
    """The tool that evaluates rules without a server, of the same package, or None."""
    return shutil.which("promtool")


class Prometheus(Server):
    """It has its data in a folder, and asks the pages of these addresses (host:port) for their metrics."""

    name = "Prometheus"

    def __init__(self, data: Path, *addresses: str):
        super().__init__(data, "none")
        self.port = free_port()
        self._addresses = addresses

    def value(self, query: str) -> list[float]:
        """What each series is now; raises `AssertionError` where the query is refused."""
        return [float(series["value"][1]) for series in self._ask("query", query=query)["result"]]

    def drawn(self, query: str) -> list[float]:
        """All values that a graph of the last quarter of an hour shows, of whichever series."""
        now = time.time()
        found = self._ask("query_range", query=query, start=now - DRAWN_S, end=now, step=STEP_S)["result"]
        return [float(value) for series in found for _, value in series["values"]]

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules, each with its state and what became of its last evaluation."""
        groups = self._ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _ask(self, what: str, **parameters: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(parameters)}"
        with urlopen(url, timeout=30) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def _prepare(self) -> None:
        super()._prepare()
        every = f"{SCRAPED_EVERY_S}s"
        jobs = [{"job_name": "auditsite", "static_configs": [{"targets": list(self._addresses)}]}]
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(queries.ALERTS)],
            "scrape_configs": jobs,
        }
        # JSON is YAML.
        (self.data / "prometheus.json").write_text(json.dumps(config), encoding="utf-8")

    def _command(self) -> list[str]:
        found = program()
        assert found is not None
        return [
            found,
            f"--config.file={self.data / 'prometheus.json'}",
            f"--storage.tsdb.path={self.data / 'series'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                return True
        except (URLError, TimeoutError, ConnectionError):
            return False
