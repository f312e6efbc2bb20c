"""Clients of Kubernaut's Data Storage: generated from its description (wire.yaml), talking to a real server."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from audit.ledger.seal import Sealer
from bench.load import wait_until
from bench.ports import free_port
from tests.audit.conftest import Sender, closed_breaker

__all__ = ["closed_breaker"]

WIRE = Path(__file__).with_name("wire.yaml")
PACKAGE = "kubernaut_client"
TYPES: list[str] = yaml.safe_load(WIRE.read_text(encoding="utf-8"))["components"]["schemas"]["EventData"]["properties"][
    "event_type"
]["enum"]
# The categories of types whose first word is none.
CATEGORIES = {
    "aianalysis": "analysis",
    "authwebhook": "workflow",
    "datastorage": "security",
    "orchestrator": "orchestration",
    "remediation": "orchestration",
    "remediationworkflow": "workflow",
    "webhook": "approval",
}


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The package, generated anew: it is as large as it is of no interest."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "settings.yaml").write_text("post_hooks: []\n", encoding="utf-8")
    generator = Path(sys.executable).with_name("openapi-python-client")
    command = [generator, "generate", "--path", WIRE, "--config", folder / "settings.yaml", "--meta", "none"]
    subprocess.run([*command, "--output-path", folder / PACKAGE], check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module(PACKAGE)


@pytest.fixture(scope="session")
def address(django_db_setup: None) -> Iterator[str]:
    """The real server, on the servers of the tests."""
    port = free_port()
    command = [sys.executable, "-m", "auditsite.front", "--port", str(port), "--workers", "1", "--threads", "2"]
    process = subprocess.Popen(command, env=os.environ.copy())
    try:
        wait_until(lambda: _answers(port), seconds=300, what="the site")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=120)


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/livez", timeout=2):
            return True
    except (URLError, OSError):
        return False


class Client:
    """The generated client of one writer. A status that its description does not have is an error, as in ogen's."""

    def __init__(self, address: str, *scopes: str):
        """`generated` must be there."""
        self.sender = Sender(*scopes)
        kind = importlib.import_module(f"{PACKAGE}.client").AuthenticatedClient
        self.client = kind(base_url=address, token=self.sender.key, raise_on_unexpected_status=True, timeout=60)
        self.models = importlib.import_module(f"{PACKAGE}.models")

    def close(self) -> None:
        self.client.get_httpx_client().close()

    def call(self, operation: str, **arguments: Any) -> Any:
        """The whole answer: `status_code`, `parsed`, `content`."""
        module = importlib.import_module(f"{PACKAGE}.api.audit.{operation}")
        return module.sync_detailed(client=self.client, **arguments)

    def get(self, operation: str, **arguments: Any) -> Any:
        """What was parsed of an answer that must be a good one."""
        answer = self.call(operation, **arguments)
        assert answer.status_code in (200, 201), answer.content
        assert answer.parsed is not None
        return answer.parsed

    def event(self, event_type: str = "gateway.signal.received", **changes: Any) -> Any:
        word = event_type.partition(".")[0]
        members = {
            "version": "1.0",
            "event_type": event_type,
            "event_timestamp": datetime.now(UTC).isoformat(),
            "event_category": CATEGORIES.get(word, word),
            "event_action": "test",
            "event_outcome": "success",
            "correlation_id": "upstream",
            "event_data": {"event_type": event_type, "namespace": "default", "fingerprint": "test-fingerprint"},
        }
        return self.models.AuditEventRequest.from_dict(members | changes)

    def page(self, **filters: Any) -> list[Any]:
        return list(self.get("query_audit_events", **filters).data)


@pytest.fixture(scope="session")
def _client(generated: ModuleType, address: str) -> Iterator[Client]:
    with closing(Client(address, "write", "read", "export", "hold")) as client:
        yield client


@pytest.fixture
def client(_client: Client) -> Client:
    """Of a server that stores: it learns by its next event that a test before took PostgreSQL away and gave it back."""
    wait_until(lambda: _stores(_client), seconds=60, what="the site's connections to PostgreSQL")
    return _client


def _stores(client: Client) -> bool:
    return bool(client.call("create_audit_event", body=client.event()).status_code == 201)


def seal() -> None:
    while Sealer().once().more:
        pass
