"""Servers on a leash: they start anywhere, survive a crash, and never outlive who started them."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from auditsite.embedded import (
    SHORT_NAME,
    SOCKET_PATH_MAX,
    Postgres,
    Redis,
    ServerFailed,
    bundled_redis,
    hold,
    redis_binary,
    redis_version,
    remove_left_behind,
    socket_folder,
)
from auditsite.roles import ROLES, create_database
from tests import servers
from tests.processes import lives

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may reach."""
    made = servers.open_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while _runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return lives(psutil.Process(pid))
    return False


@pytest.mark.slow
def test_postgresql_starts_again_after_kill_9_with_what_was_committed(folder: Path) -> None:
    server = Postgres(folder / "a folder with a name so long that no socket fits into it" / ("x" * 60))
    server.start()
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        server.kill()
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        server.stop()


def test_a_server_is_killed_whole_though_one_of_its_processes_has_ended_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        gone = psutil.Process(child.pid)
        child.kill()
    server = Redis(folder / "redis")
    server.start()
    running = server.processes()
    try:
        monkeypatch.setattr(server, "processes", lambda: [gone, *running])
        server.kill()
        assert not any(_runs(process.pid) for process in running)
    finally:
        server.stop()


@pytest.mark.slow
def test_the_roles_and_the_database_are_made_once_and_kept(folder: Path) -> None:
    server = Postgres(folder / "postgres")
    server.start()
    try:
        first = create_database(server.url(), "audit", dict.fromkeys(ROLES.values(), "a:b/c@d"))
        assert create_database(server.url(), "audit", dict.fromkeys(ROLES.values(), "a:b/c@d")) == first
        assert set(first) == set(ROLES)
        for variable, role in ROLES.items():
            with psycopg.connect(first[variable]) as connection:
                assert connection.execute("SELECT current_user, current_database()").fetchone() == (role, "audit")
        with psycopg.connect(first["DATABASE_URL"]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine ()")
    finally:
        server.stop()


def test_redis_starts_as_the_queue_needs_it(tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis")
    server.start()
    try:
        with redis.Redis.from_url(server.url()) as connection:
            assert connection.config_get("appendfsync") == {"appendfsync": "always"}
            assert connection.info()["aof_enabled"] == 1
            assert connection.info()["maxmemory_policy"] == "noeviction"
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis", program="/bin/false")
    with pytest.raises(ServerFailed, match="Redis did not start"):
        server.start()
    server.stop()


def test_the_bundled_valkey_runs_unless_redis_server_names_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_path = tmp_path / "redis-server"
    on_path.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=0:0'\n")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    assert redis_binary() == bundled_redis() != str(on_path)
    assert redis_version(redis_binary()) >= ("Valkey", "9.1")
    monkeypatch.setenv("REDIS_SERVER", "redis-server")
    assert redis_binary() == str(on_path)
    assert redis_version(redis_binary()) == ("Redis", "7.0.15")


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("Redis server v=6.0.16 sha=0:0", "names Redis 6.0.16, and 6.2 is the oldest"),
        ("nginx version: 1.22", "is no Redis or Valkey server"),
        (None, "which is no program here"),
    ],
)
def test_a_redis_server_that_cannot_do_is_refused_with_what_to_do(
    says: str | None, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "server"
    if says is not None:
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("REDIS_SERVER", str(program))
    with pytest.raises(ServerFailed, match=f"{complaint}.*Set REDIS_SERVER"):
        redis_binary()


def test_a_socket_path_never_exceeds_the_kernels_limit(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90) / "postgres"
    assert len(bytes(socket_folder(long, ".s.PGSQL.5432") / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX
    assert socket_folder(long, "s") == socket_folder(long, "s")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a clone", "50%25 a,b?c#Prüfung"])
def test_servers_start_in_a_folder_whose_name_a_url_would_misread(name: str, folder: Path) -> None:
    postgres, valkey = Postgres(folder / name / "postgres"), Redis(folder / name / "redis")
    try:
        postgres.start()
        valkey.start()
        for server in (postgres, valkey):
            assert all(letter not in server.url() for letter in " ,%#ü")
    finally:
        postgres.stop()
        valkey.stop()


@pytest.fixture
def short_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the folders of sockets are made that do not fit beside the data."""
    with tempfile.TemporaryDirectory(prefix="s-") as short:
        monkeypatch.setattr(tempfile, "gettempdir", lambda: short)
        yield Path(short)


def test_a_server_that_stops_leaves_no_folder_of_its_sockets_behind(tmp_path: Path, short_folders: Path) -> None:
    server = Redis(tmp_path / ("x" * 90) / "redis")
    server.start()
    try:
        assert [*short_folders.iterdir()] == [server.sockets]
        server.kill()
        server.start()  # the folder of a killed server is its own again
        assert server.socket.is_socket()
        server.kill()
    finally:
        server.stop()
    assert [*short_folders.iterdir()] == []
    server.stop()


def test_what_a_killed_owner_left_is_removed_at_the_next_start_and_what_a_live_one_uses_is_not(
    tmp_path: Path, short_folders: Path
) -> None:
    left, held, full, of_others = (
        short_folders / name
        for name in (f"{SHORT_NAME}{1:016x}", f"{SHORT_NAME}{2:016x}", f"{SHORT_NAME}{3:016x}", "auditsite-test-x")
    )
    for folder in (left, full, of_others):
        folder.mkdir()
    (full / "redis.sock").touch()
    lock = hold(held)  # as a server that has made its folder, and no socket yet
    server = Redis(tmp_path / "redis")
    try:
        server.start()
        assert {*short_folders.iterdir()} == {held, full, of_others}
    finally:
        server.stop()
        os.close(lock)
    remove_left_behind()
    assert {*short_folders.iterdir()} == {full, of_others}


def test_a_folder_that_is_removed_while_it_is_taken_is_made_again(
    short_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = short_folders / f"{SHORT_NAME}{1:016x}"
    removed: list[int] = []

    def too_late(fd: int, operation: int) -> None:
        if not removed:
            removed.append(operation)
            folder.rmdir()

    monkeypatch.setattr("fcntl.flock", too_late)
    os.close(hold(folder))
    assert folder.is_dir() and removed == [fcntl.LOCK_SH]


LEASHED = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", "auditsite.leash", "--", "sh", "-c", "sleep 600 & echo $!; echo $$; wait"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
)
print(child.stdout.readline().strip(), child.stdout.readline().strip(), flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_kill_9_of_the_starter_ends_the_command_and_its_children() -> None:
    starter = subprocess.Popen([sys.executable, "-c", LEASHED], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    grandchild, child = (int(pid) for pid in starter.stdout.readline().split())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert ended(child)
    assert ended(grandchild)


def test_the_leash_passes_on_the_exit_status_and_sigterm() -> None:
    leash = [sys.executable, "-m", "auditsite.leash", "--"]
    with subprocess.Popen([*leash, "sh", "-c", "exit 7"], cwd=ROOT, stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=60) == 7
    running = [*leash, "sh", "-c", "echo runs; exec sleep 600"]
    with subprocess.Popen(running, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM


def test_make_help_lists_the_targets() -> None:
    env = os.environ | {"MAKEFLAGS": ""}
    listed = subprocess.run(["make", "help"], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    for target in ("run", "test", "drill", "check", "fix", "bench"):
        assert f"  {target} " in listed
