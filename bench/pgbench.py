"""PostgreSQL's own load generator: what the database does for a statement, with nothing before it."""

import subprocess
from collections.abc import Sequence

from auditsite.embedded import binaries
from bench.fleet import Fleet


def rate(
    fleet: Fleet,
    scripts: Sequence[str],
    *,
    clients: int,
    seconds: float,
    variables: dict[str, str] | None = None,
    role: str = "postgres",
    jobs: int = 1,
) -> float:
    """Transactions a second of the scripts, each run prepared and as often as the others.

    `:name` in a script is a parameter with the value that `variables` has for it. Whole seconds, one at least.
    """
    command = [str(binaries() / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", str(jobs)]
    command += ["-T", str(max(1, round(seconds))), "-U", role, "-h", str(fleet.postgres.sockets)]
    for number, script in enumerate(scripts):
        path = fleet.folder / f"script-{number}.sql"
        path.write_text(f"{script}\n", encoding="utf-8")
        command += ["-f", str(path)]
    for name, value in (variables or {}).items():
        command += ["-D", f"{name}={value}"]
    done = subprocess.run([*command, "drill"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-2000:]}")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("tps = ")]
    return float(line.split()[2])
