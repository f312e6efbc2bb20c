"""Several real servers of Redis or Valkey on free ports of this machine: with Sentinels, as a cluster, with TLS."""

import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from auditsite.embedded import Redis
from bench.load import wait_until
from bench.ports import free_port

SERVICE = "queue"


class PortRedis(Redis):
    """A server that listens on a port of the loopback as well, with more settings."""

    def __init__(self, data: Path, *, program: str | None = None, **options: str):
        super().__init__(data, program=program)
        self.port = free_port()
        self.options = options

    @property
    def place(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def client(self, **options: Any) -> redis.Redis:
        """A client of this very server, over its socket."""
        made: redis.Redis = redis.Redis.from_url(self.url(), **options)
        return made

    def _command(self) -> list[str]:
        settings = {"bind": "127.0.0.1", "port": str(self.port), "repl-diskless-sync-delay": "0"}
        settings |= {name.replace("_", "-"): value for name, value in self.options.items()}
        return [*super()._command(), *(part for name, value in settings.items() for part in (f"--{name}", value))]


class Sentinel(PortRedis):
    """One Sentinel of a service."""

    def __init__(self, data: Path, primary: PortRedis, quorum: int, lines: Sequence[str] = ()):
        super().__init__(data)
        self.name = secrets.token_hex(20)
        self._file = data / "sentinel.conf"
        self._lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 3000",
            *lines,
        ]

    def know(self, sentinels: Sequence["Sentinel"], replicas: Sequence[PortRedis]) -> None:
        """Tell it before it starts whom it would hear of within seconds."""
        others = [other for other in sentinels if other is not self]
        self._lines += [f"sentinel myid {self.name}"]
        self._lines += [f"sentinel known-replica {SERVICE} 127.0.0.1 {replica.port}" for replica in replicas]
        self._lines += [f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other.port} {other.name}" for other in others]

    def _prepare(self) -> None:
        super()._prepare()
        if not self._file.exists():  # it writes into it what it learns
            place = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket}", f"dir {self.data}"]
            lines = [*place, *self._lines]
            self._file.write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _command(self) -> list[str]:
        return [self.program, str(self._file), "--sentinel"]


class SentinelFleet:
    """A primary, its replicas and three Sentinels."""

    def __init__(self, folder: Path, replicas: int = 1, sentinels: int = 3, lines: Sequence[str] = (), **options: str):
        self.servers = [PortRedis(folder / f"server{number}", **options) for number in range(1 + replicas)]
        quorum = sentinels // 2 + 1
        self.sentinels = [
            Sentinel(folder / f"sentinel{number}", self.servers[0], quorum, lines) for number in range(sentinels)
        ]
        for sentinel in self.sentinels:
            sentinel.know(self.sentinels, self.servers[1:])

    def start(self) -> None:
        """Return when the replicas follow, and each Sentinel reaches all others."""
        for server in self.servers:
            server.start()
        for replica in self.servers[1:]:
            with replica.client() as client:
                client.replicaof("127.0.0.1", self.servers[0].port)
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(self.is_in_step, seconds=30, what="the replicas and Sentinels")

    def fail_over(self) -> None:
        """Have the Sentinels put a replica in the place of the primary, once they know that it is fit."""
        wait_until(self._begins_failover, seconds=30, what="a replica that is fit")

    def _begins_failover(self) -> bool:
        with self.sentinels[0].client() as client:
            try:
                client.execute_command("SENTINEL", "FAILOVER", SERVICE)
            except redis.ResponseError as error:
                if "NOGOODSLAVE" not in str(error):
                    raise
                return False
        return True

    def is_in_step(self) -> bool:
        """Whether a failover could happen now."""
        with self.servers[0].client() as client:
            state = client.info("replication")
        online = [state.get(f"slave{number}", {}).get("state") for number in range(len(self.servers) - 1)]
        return online == ["online"] * (len(self.servers) - 1) and all(
            self._knows_all(sentinel) for sentinel in self.sentinels
        )

    def _knows_all(self, sentinel: Sentinel) -> bool:
        with sentinel.client() as client:
            state: Any = client.sentinel_master(SERVICE)
            others: Any = client.sentinel_sentinels(SERVICE)
        reached = [other for other in others if not (other["is_disconnected"] or other["is_sdown"])]
        return bool(len(reached) == len(self.sentinels) - 1 and state["num-slaves"] == len(self.servers) - 1)

    def url(self, *, who: str = "", path: str = f"/{SERVICE}", scheme: str = "redis+sentinel", query: str = "") -> str:
        """The address of the service."""
        return f"{scheme}://{who}{','.join(sentinel.place for sentinel in self.sentinels)}{path}{query}"

    def stop(self) -> None:
        """End all of them."""
        for server in (*self.sentinels, *self.servers):
            server.stop()


class Cluster:
    """Three servers that share the slots, and a replica of each."""

    def __init__(self, folder: Path):
        options = {"cluster_enabled": "yes", "cluster_node_timeout": "1000"}
        # By itself the port of the bus is 10,000 above the other, which may be none.
        self._buses = [free_port() for _ in range(6)]
        self.servers = [
            PortRedis(folder / f"node{number}", cluster_port=str(bus), **options)
            for number, bus in enumerate(self._buses)
        ]

    @property
    def url(self) -> str:
        """The address of the cluster, by two of its servers."""
        return f"redis+cluster://{self.servers[0].place},{self.servers[1].place}"

    def start(self) -> None:
        """Return when each server knows who has which slots, and each primary has its replica."""
        for server in self.servers:
            server.start()
        for server in self.servers:
            with server.client() as client:
                for other, bus in zip(self.servers, self._buses, strict=True):
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        for number, (first, last) in enumerate([(0, 5460), (5461, 10922), (10923, 16383)]):
            with self.servers[number].client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        wait_until(lambda: all(self._knows(server, 6) for server in self.servers), seconds=30, what="the cluster")
        for primary, replica in zip(self.servers[:3], self.servers[3:], strict=True):
            with primary.client() as one, replica.client() as other:
                name: Any = one.execute_command("CLUSTER", "MYID")
                other.execute_command("CLUSTER", "REPLICATE", name)
        wait_until(lambda: all(map(self._serves, self.servers[:3])), seconds=30, what="the replicas of the cluster")

    def owner(self, tag: str) -> PortRedis:
        """The server that has the keys under this hash tag."""
        for server in self.servers:
            with server.client() as client:
                role: Any = client.role()
                slot: Any = client.execute_command("CLUSTER", "KEYSLOT", f"{{{tag}}}")
                nodes: Any = client.execute_command("CLUSTER NODES")
            own = next(node for node in nodes.values() if "myself" in node["flags"])
            if role[0] in (b"master", "master") and any(int(some[0]) <= slot <= int(some[-1]) for some in own["slots"]):
                return server
        raise AssertionError(f"nobody has {{{tag}}}")

    def move(self, tag: str, source: PortRedis, target: PortRedis) -> None:
        """Give the slot of this hash tag, with its keys, to another primary."""
        with source.client() as one, target.client() as other:
            slot: Any = one.execute_command("CLUSTER", "KEYSLOT", f"{{{tag}}}")
            names = [str(client.execute_command("CLUSTER", "MYID"), "ascii") for client in (one, other)]
            other.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
            one.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
            keys: Any = one.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
            one.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for client in (other, one):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[1])

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.stop()

    def _knows(self, server: PortRedis, count: int) -> bool:
        with server.client() as client:
            nodes: Any = client.execute_command("CLUSTER NODES")
        return len(nodes) == count and all("handshake" not in node["flags"] for node in nodes.values())

    def _serves(self, server: PortRedis) -> bool:
        with server.client() as client:
            info: Any = client.execute_command("CLUSTER INFO")
            state = client.info("replication")
        return info["cluster_state"] == "ok" and state["connected_slaves"] == 1 and state["slave0"]["state"] == "online"


def certificates(folder: Path) -> Path:
    """A folder with an authority of its own, a certificate of a server and one of a client: ca, server, client."""
    folder.mkdir()
    folder.chmod(0o755)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=tests")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="ascii")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)
    return folder
