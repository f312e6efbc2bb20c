"""docker-compose.yml brought up under a name and at ports of its own, with containers that may be killed."""

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import UUID

import redis

from bench.composed.engine import ROOT, compose_command, run
from bench.load import wait_until
from bench.ports import free_port

# Those that go on, in the order in which the drill kills them.
SERVICES = ("ingest", "web", "drain", "seal", "worker", "stream", "backup", "proxy", "cache", "redis", "postgres")
# Of these there may be several.
SCALED = ("ingest", "drain", "seal", "worker", "stream")
HEALTHY_S = 180.0
TARGETS = """
[records]
type = "file"
folder = "/lake/records"
max_mb = 1
"""
# Of each line that the target has, the log entry and the id of the event.
STREAMED = """
import json, pathlib
for path in sorted(pathlib.Path("/lake/records").glob("*.jsonl")):
    for line in path.open():
        print(json.loads(line)["leaf_index"], json.loads(line)["event_id"])
"""
# What the test leaves of the caller's environment; anything else might be a setting.
KEPT = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR")


class Installation:
    """`up` starts it on a clean host; `down` leaves nothing of it."""

    def __init__(self, images: dict[str, str]):
        self._compose = compose_command()
        # Whose docker-compose.yml it is, and which services of it go on.
        self.root = ROOT
        self.services: tuple[str, ...] = SERVICES
        self.project = f"auditsite-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="auditsite-composed-"))
        # One secret is given, as its owner alone may read it; all others are made.
        self.given = self.folder / "secrets" / "secret_key"
        self.given.parent.mkdir()
        self.given.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        self.given.chmod(0o600)
        (self.given.parent / "streams").mkdir()
        (self.given.parent / "streams" / "streams.toml").write_text(TARGETS, encoding="ascii")
        # In the place of a .env that whoever runs this may have.
        self._settings = self.folder / "settings"
        self._settings.touch()
        self.env = {name: os.environ[name] for name in KEPT if name in os.environ} | images
        self.env |= {
            "COMPOSE_PROJECT_NAME": self.project,
            "SECRETS_DIR": str(self.given.parent),
            "BIND_ADDRESS": "127.0.0.1",
            "HTTPS_PORT": str(self.port),
            **{name: str(free_port()) for name in ("HTTP_PORT", "PORT")},
            # A port for each container of ingest.
            "INGEST_PORT": "{}-{}".format(*free_ports(2)),
            "COMPOSE_PROFILES": "stream",
            "SERVER_NAME": "localhost",
            # Probes ask by another name than these.
            "ALLOWED_HOSTS": "audit.invalid",
            "LOGIN_MFA": "optional",
            "LOG_LEVEL": "WARNING",
        }

    def up(self, *services: str) -> None:
        """The one command; returns when every service is healthy, or those that are named."""
        self._up(*services)
        for service in services or self.services:
            self.wait_healthy(service)

    def scale(self, count: int) -> None:
        """So many containers of each service that may have several; returns when all of them are healthy."""
        self._up(*(word for service in SCALED for word in ("--scale", f"{service}={count}")))
        for service in self.services:
            self.wait_healthy(service)

    def _up(self, *words: str) -> None:
        self.compose("up", "--detach", "--no-build", *words)

    def burn(self) -> None:
        """Everything is gone, volumes too."""
        self.compose(
            "--profile", "tools", "--profile", "stream", "down", "--volumes", "--remove-orphans", "--timeout", "20"
        )

    def down(self) -> None:
        """Take everything away, volumes too."""
        try:
            self.burn()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def compose(self, *arguments: str) -> str:
        """Run compose for this project, with no settings but ours; return what it printed."""
        return run(*self._words(), *arguments, env=self.env)

    def _words(self) -> list[str]:
        place = ["--project-directory", str(self.root), "--file", str(self.root / "docker-compose.yml")]
        return [*self._compose, *place, "--env-file", str(self._settings)]

    def once(self, *words: str) -> str:
        """Run a service once, with arguments; return what it printed."""
        return self.compose("run", "--rm", "-T", *words)

    def pipe(self, *words: str, source: IO[bytes] | None = None, output: IO[bytes] | None = None) -> str:
        """Run a service once between files; return what it said beside. Raises `RuntimeError` with that."""
        command = [*self._words(), "run", "--rm", "-T", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, stdin=source or subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE
        )
        said = done.stderr.decode(errors="replace")
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{said[-3000:]}")
        return said

    def kill(self, service: str) -> None:
        """kill -9 of the processes of each container of a service."""
        run("docker", "kill", *self.containers(service))

    def stop(self, service: str) -> None:
        """End a service as an operator does."""
        run("docker", "stop", *self.containers(service))

    def start(self, service: str) -> None:
        """Start a service that was killed or stopped."""
        run("docker", "start", *self.containers(service))

    def remove(self, container: str) -> None:
        """kill -9 of a container's processes, and nothing is left of it but what it wrote into volumes."""
        run("docker", "rm", "--force", container)

    def wait_healthy(self, service: str) -> None:
        """Return when each container says that it is well. Raises `TimeoutError` with the end of their log."""
        try:
            wait_until(lambda: self._is_healthy(service), seconds=HEALTHY_S, what=service, every_s=0.5)
        except TimeoutError:
            raise TimeoutError(f"{service} is not healthy after {HEALTHY_S:.0f} s:\n{self.log(service)}") from None

    def _is_healthy(self, service: str) -> bool:
        states = [each["State"] for each in self._inspect(service)]
        return all(state.get("Health", {}).get("Status") == "healthy" for state in states)

    def log(self, service: str) -> str:
        """The end of what a container has printed."""
        return self.compose("logs", "--no-color", "--tail", "60", service)

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a container; return what it printed."""
        return self.execute_in(self.containers(service)[0], *command)

    def execute_in(self, container: str, *command: str) -> str:
        """The same in a certain container."""
        return run("docker", "exec", container, *command)

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

    def streamed(self) -> list[tuple[int, UUID]]:
        """What the target of the streamer has: log entries and ids of events, in the order of its files."""
        lines = self.execute("stream", "python", "-c", STREAMED).splitlines()
        return [(int(index), UUID(name)) for index, name in (line.split() for line in lines)]

    def counters(self, container: str) -> str:
        """What a container of ours says to Prometheus."""
        ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:{}', timeout=5).read().decode())"
        is_ingest = container in self.containers("ingest")
        return self.execute_in(container, "python", "-c", ask.format("8000/metrics" if is_ingest else "9100/"))

    def containers(self, service: str) -> list[str]:
        """The ids of the containers of a service, the first of them first."""
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        filters = [
            w for name, value in labels.items() for w in ("--filter", f"label=com.docker.compose.{name}={value}")
        ]
        shape = '{{.Label "com.docker.compose.container-number"}} {{.ID}}'
        found = run("docker", "ps", "--all", *filters, "--format", shape).splitlines()
        if not found:
            raise RuntimeError(f"There is no container of {service}.")
        return [line.split()[1] for line in sorted(found, key=lambda line: int(line.split()[0]))]

    def _ip(self, service: str) -> str:
        networks: dict[str, dict[str, Any]] = self._inspect(service)[0]["NetworkSettings"]["Networks"]
        return next(str(each["IPAddress"]) for name, each in networks.items() if name.endswith("_data"))

    def _inspect(self, service: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *self.containers(service)))
        return found


def free_ports(count: int) -> tuple[int, int]:
    """So many ports beside each other, all of them free now: the first and the last."""
    while True:
        first = free_port()
        if all(_is_free(port) for port in range(first, first + count)):
            return first, first + count - 1


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return port < 65_536 and probe.connect_ex(("127.0.0.1", port)) != 0
