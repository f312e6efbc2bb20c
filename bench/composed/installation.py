"""docker-compose.yml brought up under a name and at ports of its own, with containers that may be killed."""

import json
import os
import secrets
import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from bench.composed.engine import ROOT, compose_command, run
from bench.fleet import free_port
from bench.load import wait_until

# Those that go on, in the order in which the drill kills them.
SERVICES = ("ingest", "web", "drain", "seal", "worker", "backup", "proxy", "cache", "redis", "postgres")
HEALTHY_S = 180.0
# What the test leaves of the caller's environment; anything else might be a setting.
KEPT = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR")


class Installation:
    """`up` starts it on a clean host; `down` leaves nothing of it."""

    def __init__(self, images: dict[str, str]):
        self._compose = compose_command()
        self.project = f"auditsite-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="auditsite-composed-"))
        # One secret is given, as its owner alone may read it; all others are made.
        self.given = self.folder / "secrets" / "secret_key"
        self.given.parent.mkdir()
        self.given.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        self.given.chmod(0o600)
        # In the place of a .env that whoever runs this may have.
        self._settings = self.folder / "settings"
        self._settings.touch()
        self.env = {name: os.environ[name] for name in KEPT if name in os.environ} | images
        self.env |= {
            "COMPOSE_PROJECT_NAME": self.project,
            "SECRETS_DIR": str(self.given.parent),
            "BIND_ADDRESS": "127.0.0.1",
            "HTTPS_PORT": str(self.port),
            **{name: str(free_port()) for name in ("HTTP_PORT", "PORT", "INGEST_PORT")},
            "SERVER_NAME": "localhost",
            # Probes ask by another name than these.
            "ALLOWED_HOSTS": "audit.invalid",
            "LOGIN_MFA": "optional",
            "LOG_LEVEL": "WARNING",
        }

    def up(self) -> None:
        """The one command; returns when every service is healthy."""
        self.compose("up", "--detach", "--no-build")
        for service in SERVICES:
            self.wait_healthy(service)

    def down(self) -> None:
        """Take everything away, volumes too."""
        try:
            self.compose("--profile", "tools", "down", "--volumes", "--remove-orphans", "--timeout", "20")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def compose(self, *arguments: str) -> str:
        """Run compose for this project, with no settings but ours; return what it printed."""
        place = ("--project-directory", str(ROOT), "--env-file", str(self._settings))
        return run(*self._compose, *place, *arguments, env=self.env)

    def kill(self, service: str) -> None:
        """kill -9 of a container's processes."""
        run("docker", "kill", self._container(service))

    def stop(self, service: str) -> None:
        """End a container as an operator does."""
        run("docker", "stop", self._container(service))

    def start(self, service: str) -> None:
        """Start a container that was killed or stopped."""
        run("docker", "start", self._container(service))

    def wait_healthy(self, service: str) -> None:
        """Return when the container says that it is well. Raises `TimeoutError` with the end of its log."""
        try:
            wait_until(
                lambda: self._inspect(service)["State"].get("Health", {}).get("Status") == "healthy",
                seconds=HEALTHY_S,
                what=service,
                every_s=0.5,
            )
        except TimeoutError:
            raise TimeoutError(f"{service} is not healthy after {HEALTHY_S:.0f} s:\n{self.log(service)}") from None

    def log(self, service: str) -> str:
        """The end of what a container has printed."""
        return self.compose("logs", "--no-color", "--tail", "60", service)

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a container; return what it printed."""
        return run("docker", "exec", self._container(service), *command)

    def manage(self, *arguments: str, service: str = "worker") -> str:
        """Run a management command in the container of a service; return what it printed."""
        return self.execute(service, "python", "manage.py", *arguments)

    def address(self) -> str:
        """The database, as an administrator of PostgreSQL."""
        password = self.execute("postgres", "cat", "/run/secrets/postgres_password")
        return f"postgresql://postgres:{password}@{self._ip('postgres')}/audit"

    def depth(self) -> int:
        """Messages in the queue; 1 where Redis does not say."""
        try:
            parts = urlsplit(self.execute("drain", "cat", "/run/secrets/redis_drain_url"))
            url = parts._replace(netloc=f"drain:{parts.password}@{self._ip('redis')}:6379").geturl()
            with redis.Redis.from_url(url, socket_timeout=2) as client:
                return int(client.xlen("{dlq}:s"))
        except (redis.RedisError, RuntimeError):
            return 1

    def trust(self) -> ssl.SSLContext:
        """Whom a client believes that it talks to: who has the certificate that the installation made for itself."""
        return ssl.create_default_context(cadata=self.execute("proxy", "cat", "/run/secrets/tls_certificate"))

    def _ip(self, service: str) -> str:
        networks: dict[str, dict[str, Any]] = self._inspect(service)["NetworkSettings"]["Networks"]
        return next(str(each["IPAddress"]) for name, each in networks.items() if name.endswith("_data"))

    def _inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", self._container(service)))
        return found[0]

    def _container(self, service: str) -> str:
        labels = (f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        found = run("docker", "ps", "--all", "--quiet", *filters).split()
        if not found:
            raise RuntimeError(f"There is no container of {service}.")
        return found[0]
