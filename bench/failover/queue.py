"""Three Valkey, or Redis, with a Sentinel beside each."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import redis

from auditsite.embedded import redis_binary
from bench.failover.network import Node
from bench.load import wait_until

SERVICE = "queue"
SERVERS, QUORUM = 3, 2
DOWN_AFTER_MS, FAILOVER_MS = 3000, 10_000


class Server:
    """One server of the queue and its Sentinel."""

    def __init__(self, number: int, folder: Path):
        self.name = f"kv{number}"
        self.node = Node(self.name, 16 + number)
        self._folder = folder
        self._data = folder / self.name
        self._data.mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, first: str) -> None:
        """Start both; all but the first follow it until the Sentinels say otherwise."""
        own = self.node.address
        lines = [f"bind {own}", "protected-mode no", f"dir {self._data}"]
        durable = ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction", 'save ""']
        follows = [] if own == first else [f"replicaof {first} 6379"]
        quick = ["repl-diskless-sync-delay 0", "repl-timeout 10", "min-replicas-to-write 1", "min-replicas-max-lag 5"]
        self._write("server", [*lines, "port 6379", *durable, *quick, *follows])
        watch = [
            f"sentinel monitor {SERVICE} {first} 6379 {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_MS}",
        ]
        self._write("sentinel", [*lines, "port 26379", *watch])
        self.start_again()

    def start_again(self) -> None:
        """Start what does not run, with what it learnt before."""
        for kind, more in (("server", []), ("sentinel", ["--sentinel"])):
            if kind not in self._processes:
                command = [redis_binary(), str(self._file(kind)), *more]
                log = self._folder / f"{self.name}-{kind}.log"
                self._processes[kind] = self.node.start(command, log, env=os.environ)

    def kill(self) -> None:
        """kill -9 of the server; its Sentinel goes on."""
        process = self._processes.pop("server")
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Stop both from running."""
        for process in self._processes.values():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let both go on."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)

    @property
    def leads(self) -> bool:
        """Whether it takes writes, and a replica follows."""
        with suppress(redis.RedisError), self.client() as client:
            said = client.info("replication")
            return bool(said["role"] == "master" and said["connected_slaves"] == SERVERS - 1)
        return False

    def client(self) -> redis.Redis:
        """A client of this very server."""
        return redis.Redis(self.node.address, 6379, socket_timeout=1, socket_connect_timeout=1)

    def _file(self, kind: str) -> Path:
        return self._data / f"{kind}.conf"

    def _write(self, kind: str, lines: list[str]) -> None:
        self._file(kind).write_text("\n".join([*lines, ""]), encoding="utf-8")


class Queue:
    """The servers, and who leads."""

    def __init__(self, folder: Path):
        self.servers = [Server(number, folder) for number in range(1, SERVERS + 1)]
        for server in self.servers:
            server.start(self.servers[0].node.address)
        self.wait_whole()

    def url(self, database: int) -> str:
        """The service as the Sentinels know it."""
        places = ",".join(f"{server.node.address}:26379" for server in self.servers)
        return f"redis+sentinel://{places}/{SERVICE}/{database}"

    def leader(self) -> Server | None:
        """Who leads with all others behind it."""
        return next((server for server in self.servers if server.leads), None)

    def wait_whole(self) -> None:
        """Return when one leads and all others follow."""
        wait_until(lambda: self.leader() is not None, seconds=120, what="Sentinel to have all servers", every_s=0.2)

    def depth(self) -> int:
        """Messages in the queue; 1 where nobody says."""
        leader = self.leader()
        with suppress(redis.RedisError):
            if leader is not None:
                with leader.client() as client:
                    return int(client.xlen("{dlq}:s"))
        return 1
