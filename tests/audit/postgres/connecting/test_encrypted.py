"""PostgreSQL over TLS: every connection of the site is by its parameters, and what is wrong with them is said."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from audit.errors import BackupFailed
from audit.postgres.connecting import reasons
from audit.postgres.connecting.addresses import addresses
from audit.postgres.connecting.hosts import FollowingConnection
from audit.recovery import base_backup
from auditsite.settings import database
from tests.audit.postgres.connecting.encrypted import BY_CERTIFICATE, BY_PASSWORD, PASSWORD, Scene

# Each way in which the site connects; prints for each whether PostgreSQL says that the connection is encrypted.
SCRIPT = """
import sys
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.db import connections
from audit.postgres.gateway import gateway, probe
from audit.recovery import base_backup
ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
for alias in ("default", "owner", "reader"):
    with connections[alias].cursor() as cursor:
        cursor.execute(ENCRYPTED)
        print(alias, cursor.fetchone()[0])
probe()
with gateway().connection(20) as connection:
    print("recording", connection.execute(ENCRYPTED).fetchone()[0])
    while gateway()._heartbeat._connection is None:
        connection.execute("SELECT pg_sleep(0.05)")
print("heartbeat", gateway()._heartbeat._connection.execute(ENCRYPTED).fetchone()[0])
folder = Path(sys.argv[1])
base_backup.take(settings.DATABASE_BACKUP_URL, folder)
print("backup", (folder / "base.tar").exists())
"""


@pytest.mark.slow
def test_every_connection_of_the_site_is_encrypted(scene: Scene, tmp_path: Path) -> None:
    """Roles and database are made over TLS, too; the server lets nobody in over TCP without a certificate."""
    own = {"sslcert": str(scene.known / "client.crt"), "sslkey": str(scene.known / "client.key")}
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "auditsite.settings",
        "DATABASE_ADMIN_URL": scene.verified("postgres", database="postgres", **own),
        "DATABASE_URL": scene.verified("audit_app", **own),
        "DATABASE_OWNER_URL": scene.verified("audit_owner", **own),
        "DATABASE_READER_URL": scene.verified("audit_reader", **own),
        "DATABASE_BACKUP_URL": scene.verified("audit_backup", **own),
    }
    scene.server.admit(*BY_CERTIFICATE)
    made = subprocess.run([sys.executable, "-m", "auditsite.roles"], env=env, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    used = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], env=env, capture_output=True, text=True)
    ways = ("default", "owner", "reader", "recording", "heartbeat", "backup")
    assert used.stdout.split() == [word for way in ways for word in (way, "True")], used.stderr
    scene.server.admit(*BY_PASSWORD)


@pytest.mark.slow
def test_each_fault_of_tls_is_said_with_what_to_do(scene: Scene) -> None:
    known, unknown = scene.known / "ca.crt", scene.unknown / "ca.crt"
    own = {"sslcert": str(scene.known / "client.crt"), "sslkey": str(scene.known / "client.key")}
    faults = {
        "certificate verify failed: sslrootcert must name": scene.verified("postgres").replace(
            str(known), str(unknown)
        ),
        "does not match host name .*: write the name that the certificate has": scene.verified(
            "postgres", host="db.example", hostaddr="127.0.0.1"
        ),
        "root certificate file .* does not exist: sslrootcert must name": scene.verified("postgres").replace(
            str(known), "/nowhere"
        ),
        "no encryption: set sslmode=verify-full": scene.server.address("postgres", sslmode="disable"),
        "password authentication failed .*: the password in the address": scene.verified("postgres").replace(
            "p%40ss", "other"
        ),
        "certificate present, but not private key .*: sslcert and sslkey must name": scene.verified(
            "postgres", **own | {"sslkey": "/nowhere"}
        ),
    }
    for words, url in faults.items():
        with pytest.raises(psycopg.OperationalError, match=f"port {scene.server.port} failed: .*{words}") as caught:
            FollowingConnection.connect(url)
        assert str(caught.value).splitlines()[0].endswith(f"({reasons.DOCS})"), "logs show the first line"
        assert PASSWORD not in str(caught.value) and "w:o#r" not in str(caught.value)


@pytest.mark.slow
def test_a_certificate_of_the_client_is_shown_or_asked_for(scene: Scene) -> None:
    def of_client(folder: Path) -> dict[str, str]:
        return {"sslcert": str(folder / "client.crt"), "sslkey": str(folder / "client.key"), "database": "postgres"}

    scene.server.admit(*BY_CERTIFICATE)
    try:
        with FollowingConnection.connect(scene.verified("postgres", **of_client(scene.known))) as connection:
            row = connection.execute("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert row == ("/CN=client",)
        with pytest.raises(psycopg.OperationalError, match="valid client certificate: sslcert and sslkey must name"):
            FollowingConnection.connect(scene.verified("postgres"))
        with pytest.raises(psycopg.OperationalError, match="unknown ca: the server does not take the certificate in"):
            FollowingConnection.connect(scene.verified("postgres", **of_client(scene.unknown)))
    finally:
        scene.server.admit(*BY_PASSWORD)


@pytest.mark.slow
def test_a_check_and_a_backup_say_what_is_wrong(scene: Scene, tmp_path: Path) -> None:
    wrong = scene.verified("postgres").replace(str(scene.known), str(scene.unknown))
    env = os.environ | {"DATABASE_URL": wrong, "DATABASE_READER_URL": wrong}
    command = [sys.executable, "manage.py", "check", "--database", "default"]
    said = subprocess.run(command, env=env, capture_output=True, text=True).stderr
    assert "certificate verify failed: sslrootcert must name the file of the authority" in said
    with pytest.raises(BackupFailed, match=r"DATABASE_BACKUP_URL: .*: sslrootcert must name"):
        base_backup.take(wrong, tmp_path)
    with pytest.raises(BackupFailed, match="where every user of this machine could read it"):
        base_backup.take(scene.verified("postgres", sslpassword="x"), tmp_path)


def test_files_that_cannot_be_read_and_servers_that_may_be_anybody_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").touch()

    def found(query: str) -> list[str]:
        monkeypatch.setenv("SOME_URL", f"postgresql://user@one/audit?{query}")
        one = database("SOME_URL", 1)
        with pytest.MonkeyPatch.context() as patch:
            for alias in ("default", "reader"):
                assert connections[alias].settings_dict is not one  # made now, if it was not yet: it outlives the patch
                patch.setitem(connections.settings, alias, one)
            of_one = addresses(None, databases=["default"])
        texts = [f"{message.id} {message.msg}" for message in of_one if "DATABASE_URL" in message.msg]
        assert len(of_one) == 2 * len(texts), "the reader's address is looked at, too"
        return texts

    assert found("") == []
    assert found(f"sslmode=verify-full&sslrootcert={tmp_path}/there") == []
    assert found("sslmode=verify-full&sslrootcert=system") == []
    assert found(f"sslrootcert={tmp_path}/gone") == [
        f"audit.E030 DATABASE_URL has sslrootcert={tmp_path}/gone, which is no file that this process may read."
    ]
    assert found(f"sslcert={tmp_path}/there") == ["audit.E030 DATABASE_URL has sslcert and no sslkey."]
    assert found("sslmode=require") == [
        "audit.W030 DATABASE_URL has sslmode=require and no sslrootcert: what answers there may be anybody."
    ]


def test_what_is_known_to_help_is_said_once_for_each_host() -> None:
    one = 'connection to server at "10.0.0.1", port 5432 failed: SSL error: certificate verify failed'
    error = reasons.explained(psycopg.OperationalError(f"{one}\n{one.replace('0.1', '0.2')}"))
    first, second = str(error).splitlines()
    assert first.startswith(f"{one}: sslrootcert must name") and second.endswith("certificate verify failed")
    assert first.count("sslrootcert") == 1
    other = psycopg.OperationalError("connection refused")
    assert reasons.explained(other) is other
