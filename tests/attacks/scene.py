"""The store that is attacked: 600 sealed records with checkpoints, an anchor and a witness, copied for each attack."""

import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from psycopg import sql

from audit import checks
from audit.access import api_keys
from audit.errors import KeyUnknown, LogDamaged
from audit.formats import event
from audit.ingest.record import store
from audit.ledger import keys, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealed, Sealer
from audit.ledger.witness_server import Witness, serve
from audit.postgres.gateway import gateway
from auditsite.roles import create_database
from tests import servers
from tests.audit.conftest import an_event

BATCHES, BATCH = 6, 100
EARLY = 4
"""After so many batches a copy is kept, as somebody would who means to restore it later."""
CORRELATIONS = [f"rr-attacked-{number}" for number in range(5)]


class Scene:
    """The template databases. Django uses a copy of them within `fresh`, and its own databases at all other times."""

    def __init__(self, admin_url: str, folder: Path):
        self._admin_url = admin_url
        self._folder = folder
        self.name = f"attacks_{secrets.token_hex(4)}"
        self._kept = {alias: connections[alias].settings_dict["NAME"] for alias in settings.DATABASES}
        witness = Witness.create(folder / "witness", "witness.example/w", keys.load().verifiers)
        self._server = serve(witness, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.witness = f"http://127.0.0.1:{self._server.server_port}={witness.verifier}"

    def build(self, batches: int = BATCHES) -> None:
        """Fill the template: events of five correlations, sealed in steps, each step cosigned and anchored."""
        try:
            self._build(batches)
        finally:
            self._leave()
        shutil.copytree(self._folder / "witness", self._folder / "witness-kept")

    def _build(self, batches: int) -> None:
        if servers.migrated:
            self._copy(servers.migrated, self.name)
        create_database(self._admin_url, self.name)
        self._use(self.name)
        if not servers.migrated:
            call_command("migrate", verbosity=0)
        sealer, courier = Sealer(), Publisher()
        with self.outside(anchor=self._folder / "anchor.jsonl", witness=True):
            for number in range(batches):
                if number == EARLY:
                    self._copy(self.name, f"{self.name}_early")
                    self._use(self.name)
                send(BATCH)
                # Autovacuum may make room before the place where the sealer left off.
                sealed = sealer.once(from_start=True)
                assert sealed.checkpoint is not None and sealed.checkpoint.size == (number + 1) * BATCH
                assert courier.publish(sealed.checkpoint) == []

    @contextmanager
    def fresh(self) -> Iterator[psycopg.Connection[Any]]:
        """A copy of the store that Django uses meanwhile; yields a superuser's connection to it."""
        name = f"{self.name}_now"
        self._copy(self.name, name)
        self._use(name)
        try:
            with psycopg.connect(self._url(name), autocommit=True) as superuser:
                yield superuser
        finally:
            self._leave()
            self._drop(name)
            self._forget()

    def restore_early(self) -> None:
        """Put the old copy in the place of the store, as an administrator restores a dump."""
        name = f"{self.name}_now"
        self._drop(name)
        self._copy(f"{self.name}_early", name)
        self._use(name)

    @contextmanager
    def outside(self, *, anchor: Path | None = None, witness: bool = False) -> Iterator[None]:
        """The settings of somebody who has an anchor, a witness, both or neither."""
        # The keys are named here so that an attack or a rotation may set them; they are back afterwards.
        places = {"SEAL_ANCHOR_FILE": anchor, "SEAL_ANCHOR_DIR": None, "SEAL_ANCHOR_S": 0}
        sealing = {"SEAL_KEY": settings.SEAL_KEY, "SEAL_PUBLIC_KEYS": settings.SEAL_PUBLIC_KEYS}
        with override_settings(**places, **sealing, SEAL_WITNESSES=[self.witness] if witness else []):
            yield

    @property
    def anchor(self) -> Path:
        """A copy of the anchor as it was when the template was built."""
        copy = self._folder / "anchor-now.jsonl"
        shutil.copy(self._folder / "anchor.jsonl", copy)
        return copy

    def _leave(self) -> None:
        """Have Django use the databases again that it used before."""
        connections.close_all()
        gateway().close()
        for alias, name in self._kept.items():
            connections[alias].settings_dict["NAME"] = name
        api_keys.publish()  # those of the writers that are back

    def stop(self) -> None:
        """Put everything back, and drop what was made."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for name in (self.name, f"{self.name}_early", f"{self.name}_now"):
            self._drop(name)

    def _forget(self) -> None:
        """The witness is one for all copies: it forgets what this one told it."""
        self._server.RequestHandlerClass.of._logs[1:] = []  # type: ignore[attr-defined]
        shutil.copytree(self._folder / "witness-kept", self._folder / "witness", dirs_exist_ok=True)

    def _use(self, name: str) -> None:
        connections.close_all()
        gateway().close()
        for alias in settings.DATABASES:
            connections[alias].settings_dict["NAME"] = name

    def _copy(self, template: str, name: str) -> None:
        connections.close_all()
        gateway().close()
        with psycopg.connect(self._admin_url, autocommit=True) as admin:
            if servers.pooler is not None:  # it stays connected to what is to be copied
                admin.execute(
                    "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = %s", (template,)
                )
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER audit_owner STRATEGY FILE_COPY")
            admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{name}"))


def send(count: int, **changes: Any) -> list[event.Accepted]:
    """Store events as the API does."""
    accepted = [
        event.accept(an_event(correlation_id=CORRELATIONS[number % 5], **changes), writer="tests")
        for number in range(count)
    ]
    store(accepted, timeout_s=20)
    return accepted


def seal() -> Sealed | str:
    """One pass of a sealer that has just been started; its refusal as text."""
    try:
        return Sealer().once()
    except (LogDamaged, KeyUnknown) as error:
        return str(error)


def verdict() -> str:
    """What a verification of everything says."""
    run = verify.verify()
    findings = {f"{found.kind} {found.subject}" for found in run.findings.all()}
    return f"{run.verdict} ({', '.join(sorted(findings))})" if findings else run.verdict


def check_ids() -> set[str]:
    """What the system checks of the live database say."""
    found = {str(one.id) for one in checks.database(None, databases=["default"])}
    return found - {"audit.W002", "audit.W003", "audit.W004"}
