"""A fleet whose every secret is in a file of its own, and whose servers ask for passwords, so that each can change."""

import secrets
import signal
from functools import partial
from pathlib import Path

import psutil
import redis

from auditsite.roles import create_database
from bench.fleet import Fleet
from bench.load import wait_until

# The variables that become files; NAME_FILE names each.
FILES = (
    "SECRET_KEY",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_READER_URL",
    "REDIS_URL",
    "CACHE_URL",
    "QUEUE_URL",
)
ROLES = ("audit_app", "audit_owner", "audit_reader")
REDIS_USER = "site"
HBA = (
    "".join(f"local all {role} scram-sha-256\n" for role in ROLES)
    + "local all all trust\nlocal replication all trust\n"
)


class Keyed(Fleet):
    """Starts as `Fleet` does."""

    def start_servers(self) -> None:
        """Servers that ask for passwords, and every secret in a file."""
        super().start_servers()
        self._folder = self.folder / "secrets"
        self._folder.mkdir()
        self.put("DLQ_ENTRY_KEY", secrets.token_hex(32))
        (self.postgres.data / "pg_hba.conf").write_text(HBA, encoding="ascii")
        self.set_passwords_of_postgres()
        self.sql("SELECT pg_reload_conf()")
        self.redis_password = secrets.token_hex(32)
        self.tell_redis("on", f">{self.redis_password}", "~*", "&*", "+@all")
        self.address_redis(self.redis_password)
        for name in FILES:
            self.put(name, self.env.pop(name))

    def put(self, name: str, text: str) -> None:
        """Write a secret, whole or not at all, into the file that every process reads it from at its start."""
        path = self._folder / name.lower()
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
        self.env[f"{name}_FILE"] = str(path)

    def secret(self, name: str) -> str:
        """What the file of a secret has."""
        return (self._folder / name.lower()).read_text(encoding="utf-8")

    def set_passwords_of_postgres(self) -> None:
        """New passwords for all roles, in PostgreSQL and in the addresses."""
        passwords = {role: secrets.token_hex(16) for role in ROLES}
        for name, address in create_database(self.postgres.url("postgres", "postgres"), "drill", passwords).items():
            self._address(name, address)

    def tell_redis(self, *rules: str) -> None:
        """Change the user that all processes are, as the administrator of Redis."""
        with redis.Redis.from_url(self.redis.url()) as admin:
            admin.execute_command("ACL", "SETUSER", REDIS_USER, *rules)

    def address_redis(self, password: str) -> None:
        """Have processes that start from now on use this password."""
        for name, number in (("REDIS_URL", 0), ("CACHE_URL", 1), ("QUEUE_URL", 2)):
            self._address(name, f"unix://{REDIS_USER}:{password}@{self.redis.socket}?db={number}")

    def _address(self, name: str, address: str) -> None:
        if f"{name}_FILE" in self.env:
            self.put(name, address)
        else:
            self.env[name] = address

    def renew(self) -> None:
        """Have every process read its secrets anew: web and ingest at SIGHUP, the others one after the other."""
        before = {name: self._workers(name) for name in ("web", "ingest")}
        for name in before:
            self._processes[name].send_signal(signal.SIGHUP)
        for name, workers in before.items():
            wait_until(partial(self._has_renewed, name, workers), seconds=120, what=f"the workers of {name}")
        for name in [name for name in self._processes if name not in ("web", "ingest")]:
            self.restart_service(name)

    def _workers(self, name: str) -> set[int]:
        return {process.pid for process in psutil.Process(self._processes[name].pid).children()}

    def _has_renewed(self, name: str, before: set[int]) -> bool:
        now = self._workers(name)
        return bool(now) and not now & before

    def public_keys(self) -> list[str]:
        """The public keys of the log, those to come as well."""
        return Path(self.env["SEAL_PUBLIC_KEYS_FILE"]).read_text(encoding="utf-8").split()
