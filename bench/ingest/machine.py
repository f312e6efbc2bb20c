"""What a bench ran on: the machine, and the versions of everything that has a part in it."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import redis

from bench.fleet import ROOT, Fleet

FSYNC_BYTES = 8_192
FSYNC_S = 0.5


def about(fleet: Fleet) -> dict[str, str]:
    """Machine and versions of an installation that runs, in words."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB of memory, "
        f"{fsyncs(fleet.folder):,.0f} writes of 8 KiB with fsync a second, {platform.system()} {platform.machine()}; "
        "the load generator and both servers on the same cores",
        "versions": f"commit {commit('HEAD') or 'unknown'}, Python {platform.python_version()}, "
        f"PostgreSQL {_postgres(fleet)}, {_redis(fleet)}, httptools {version('httptools')}, Django {version('django')}",
    }


def commit(name: str) -> str:
    """The short id of a commit, and whether the work tree differs from it; "" where git does not know it."""
    found = _git("rev-parse", "--short=10", "--verify", "--quiet", f"{name}^{{commit}}")
    changed = found and name == "HEAD" and _git("status", "--porcelain", "--untracked-files=no")
    return f"{found} with changes" if changed else found


def fsyncs(folder: Path) -> float:
    """How often a second this disk confirms a write: the ceiling of who commits one by one."""
    path, count, started = folder / "fsync", 0, time.perf_counter()
    with path.open("wb", buffering=0) as file:
        while (seconds := time.perf_counter() - started) < FSYNC_S:
            file.write(bytes(FSYNC_BYTES))
            os.fsync(file.fileno())
            count += 1
    path.unlink()
    return count / seconds


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def _processor() -> str:
    """The name of the processor where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _postgres(fleet: Fleet) -> str:
    return str(fleet.sql("SHOW server_version")[0][0])


def _redis(fleet: Fleet) -> str:
    with redis.Redis.from_url(fleet.redis.url()) as client:
        told: dict[str, str] = client.info("server")
    return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"
