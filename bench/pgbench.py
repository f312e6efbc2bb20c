"""PostgreSQL's own load generator: what the database does for a statement, with nothing before it."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auditsite.embedded import binaries
from bench.fleet import Fleet


@dataclass(frozen=True)
class Load:
    """What one run did: scripts, each prepared and run as often as the others, by so many clients.

    `:name` in a script is a parameter with the value that `variables` has for it.
    """

    scripts: Sequence[str]
    clients: int
    variables: dict[str, str] = field(default_factory=dict)
    role: str = "postgres"
    jobs: int = 1


def rate(fleet: Fleet, load: Load, seconds: float) -> float:
    """Transactions a second, of whole seconds, of one at least."""
    (line,) = [line for line in _run(fleet, load, seconds).splitlines() if line.startswith("tps = ")]
    return float(line.split()[2])


def latencies(fleet: Fleet, load: Load, seconds: float, at: float) -> list[float]:
    """Milliseconds of each transaction where so many a second are due, from when it was due, the shortest first."""
    with tempfile.TemporaryDirectory(dir=fleet.folder) as folder:
        _run(fleet, load, seconds, "--rate", f"{at:g}", "--log", "--log-prefix", f"{folder}/transactions")
        lines = [line for path in Path(folder).iterdir() for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(int(line.split()[2]) / 1000 for line in lines)


def _run(fleet: Fleet, load: Load, seconds: float, *options: str) -> str:
    command = [str(binaries() / "pgbench"), "-n", "-M", "prepared", "-c", str(load.clients), "-j", str(load.jobs)]
    command += ["-T", str(max(1, round(seconds))), "-U", load.role, "-h", str(fleet.postgres.sockets), *options]
    for number, script in enumerate(load.scripts):
        path = fleet.folder / f"script-{number}.sql"
        path.write_text(f"{script}\n", encoding="utf-8")
        command += ["-f", str(path)]
    for name, value in load.variables.items():
        command += ["-D", f"{name}={value}"]
    done = subprocess.run([*command, "drill"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-2000:]}")
    return done.stdout
