"""A password of PostgreSQL, wrong or right, is in no error, no line of a log and no page, whatever fails."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.ports import free_port
from tests.audit.postgres.connecting.encrypted import PASSWORD, Scene

WRONG = "n0t/th@t:w#rd?&"
# Commands, writes and pages that want PostgreSQL: all that each prints, answers or raises, and what that was raised by.
SCRIPT = """
import sys
import traceback
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from audit.formats.event import accept
from audit.ingest.record import record
from audit.postgres.gateway import gateway, probe
from audit.recovery import base_backup
from bench.load import documents
def shown(act, *arguments):
    try:
        print(act(*arguments))
    except BaseException:
        traceback.print_exc()
def page(path):
    answer = Client(raise_request_exception=False, SERVER_NAME="localhost").get(path)
    return path, answer.status_code, answer.headers, b"".join(answer) if answer.streaming else answer.content
for alias in connections:
    shown(connections[alias].ensure_connection)
shown(probe)
shown(lambda: record([accept(next(documents()), writer="tests")]))
shown(lambda: gateway().breaker.reason)
for command in ("check --database default", "migrate", "seal", "verify", "writer list", "drain_dlq --limit 1"):
    shown(call_command, *command.split())
shown(base_backup.take, settings.DATABASE_BACKUP_URL, sys.argv[1])
for path in ("/readyz", "/metrics", "/status", "/admin/", "/admin/audit/record/", "/api/v1/audit/events"):
    shown(page, path)
"""


def all_that_is_shown(url: str, folder: Path, **more: str) -> str:
    """What the site says in its logs, errors and pages with this address for each role, and the maker of roles."""
    names = ("ADMIN_URL", "URL", "OWNER_URL", "READER_URL", "BACKUP_URL")
    env = os.environ | {f"DATABASE_{name}": url for name in names} | more
    env |= {
        "DJANGO_SETTINGS_MODULE": "auditsite.settings",
        "LOG_LEVEL": "DEBUG",
        "DLQ_PREFIX": f"secrets-{folder.name}",
    }
    said = ""
    for arguments in (("-c", SCRIPT, str(folder)), ("-m", "auditsite.roles")):
        run = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True)
        said += run.stdout + run.stderr
    return said


def is_in(password: str, text: str) -> bool:
    """Whether the text has a password as it is, as an address has it, or the half of it that looks like no address."""
    return any(form in text for form in (password, quote(password, safe=""), quote(password), password.split(":")[1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("wrong password", "password authentication failed"),
        ("no database", 'database "nowhere" does not exist'),
        ("no server", "Connection refused"),
        ("no right", "permission denied"),
    ],
)
def test_no_password_is_shown_whatever_fails(scene: Scene, tmp_path: Path, fault: str, words: str) -> None:
    right = scene.verified("postgres", database="postgres")
    encoded = quote(PASSWORD, safe="")
    address = {
        "wrong password": right.replace(encoded, quote(WRONG, safe="")),
        "no database": right.replace("/postgres?", "/nowhere?"),
        "no server": right.replace(f":{scene.server.port}/", f":{free_port()}/"),
        "no right": right.replace("postgres:", "stranger:"),
    }[fault]
    scene.server.run(
        f"DO $$BEGIN CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END$$"
    )
    said = all_that_is_shown(address, tmp_path)
    assert words in said and "ALLOWED_HOSTS" not in said
    assert not is_in(WRONG, said) and not is_in(PASSWORD, said)


@pytest.mark.slow
def test_passwords_of_roles_are_in_no_log_of_the_server(scene: Scene, tmp_path: Path) -> None:
    """Whoever logs statements, or has one fail, would have the password of each role in the server's log."""
    log = scene.server.data.parent / f"{scene.server.data.name}.log"
    scene.server.run("ALTER SYSTEM SET log_statement = 'all'")
    scene.server.run("SELECT pg_reload_conf()")
    env = os.environ | {"DATABASE_ADMIN_URL": scene.verified("postgres", database="postgres")}
    for variable, role in {"URL": "app", "OWNER_URL": "owner", "READER_URL": "reader", "BACKUP_URL": "backup"}.items():
        env[f"DATABASE_{variable}"] = scene.verified(f"audit_{role}", database="logged")
    command = [sys.executable, "-m", "auditsite.roles"]
    for _ in ("made", "made anew"):
        run = subprocess.run(command, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    scene.server.run("ALTER SYSTEM RESET log_statement")
    scene.server.run("SELECT pg_reload_conf()")
    said = log.read_text(encoding="utf-8")
    assert 'ROLE "audit_app" LOGIN' in said and not is_in(PASSWORD, said)
