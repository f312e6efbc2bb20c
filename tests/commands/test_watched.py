"""A site that a real Prometheus watches: each panel of the dashboard has data, each alert rule says what is so."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from uuid_utils.compat import uuid7

from audit.api.openapi.examples import EVENT
from bench.load import wait_until
from tests.commands.conftest import Site
from tests.deploy import prometheus, queries
from tests.deploy.prometheus import Prometheus
from tests.servers import open_folder

# Legends of the dashboard that are empty on a site of `make run`, and why.
NOTHING_TO_SHOW = {
    "hours": "Redis has no limit there, so there is no hour in which it is full",
    "cosignature of {{witness}}": "no witness cosigns there",
    "failed: {{kind}}": "no drain failed",
    "without a receipt": "each answer has one",
    "Streams are behind": "no target is there",
    "Left out of streams": "no target is there",
}
# What the sample data is incomplete for, on purpose.
TRUE_OF_THE_SAMPLE = {"EventsMissing", "ExpectationsUnmet"}


@dataclass
class Sender:
    """Sends events to a site as its writer `demo`."""

    url: str
    key: str

    def send(self, event: dict[str, Any]) -> int:
        """Send one; return the status."""
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        try:
            with urlopen(Request(self.url, json.dumps(event).encode(), headers), timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code


@pytest.fixture
def watching(site: Site) -> Iterator[Prometheus]:
    """Prometheus, which scrapes the site."""
    if prometheus.program() is None:
        pytest.skip(prometheus.INSTALL)
    address = re.search(r"^site +http://(\S+)/admin/", site.greeting, re.MULTILINE)
    assert address
    folder = open_folder()
    made = Prometheus(folder / "prometheus", address[1])
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def sender(site: Site) -> Sender:
    url, key = re.search(r"curl '?(http\S+/events)", site.greeting), re.search(r"X-API-Key: ([^']+)'", site.greeting)
    assert url and key
    return Sender(url[1], key[1])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_each_panel_has_data_and_each_alert_says_what_is_so(site: Site, watching: Prometheus, sender: Sender) -> None:
    _each_answer(sender)
    with _away(site.clone.folder / ".local" / "postgres" / "postmaster.pid"):
        assert sender.send(_event()) == 202
    assert site.clone.run(".venv/bin/python", "manage.py", "backup", "backups").returncode == 0
    with suppress(TimeoutError):
        wait_until(
            lambda: _empty(watching) == NOTHING_TO_SHOW.keys(), seconds=240, what="data in each panel", every_s=2
        )
    assert _empty(watching) == NOTHING_TO_SHOW.keys()
    assert watching.value('max(audit_missing_events{state="open"})') == [2]
    for nothing in ("sum(audit_findings)", "max(audit_account_lost_events)", "max(dlq_account_lost)"):
        assert watching.value(nothing) == [0]
    _each_rule(watching)


def _event() -> dict[str, Any]:
    return EVENT | {"event_id": str(uuid7())}


def _each_answer(sender: Sender) -> None:
    """Stored, known, of another content, refused."""
    event = _event()
    assert sender.send(event) == 201
    assert sender.send(event) == 200
    assert sender.send(event | {"actor_id": "another"}) == 409
    assert sender.send({"version": "1.0"}) == 400


@contextmanager
def _away(pid_file: Path) -> Iterator[None]:
    """PostgreSQL hangs meanwhile."""
    server = psutil.Process(int(pid_file.read_text(encoding="ascii").split()[0]))
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def _empty(watching: Prometheus) -> set[str]:
    """The legends of the dashboard for which no number is to be drawn."""
    empty = set()
    for panel in queries.panels():
        ask = watching.value if panel["type"] == "stat" else watching.drawn
        for legend, query in queries.of_panel(panel).items():
            if not any(math.isfinite(value) for value in ask(query)):
                empty.add(panel["title"] if legend == "{{target}}" else legend)
    return empty


def _each_rule(watching: Prometheus) -> None:
    """Each is evaluated, and fires for what is so and for nothing else, in words that could be filled in."""
    wanted = {rule["alert"] for rule in queries.rules()}
    wait_until(
        lambda: all(rule["health"] != "unknown" for rule in watching.rules()), seconds=60, what="rules to be evaluated"
    )
    rules = {rule["name"]: rule for rule in watching.rules()}
    assert rules.keys() == wanted
    assert {name: rule.get("lastError", "") for name, rule in rules.items() if rule["health"] != "ok"} == {}
    assert {name for name, rule in rules.items() if rule["state"] != "inactive"} == TRUE_OF_THE_SAMPLE
    for name in TRUE_OF_THE_SAMPLE:
        for alert in rules[name]["alerts"]:
            assert "<error" not in json.dumps(alert["annotations"]), alert
