"""Every service is handed its secrets: those that were given, else those that were made before, else new ones."""

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from audit.formats.note import Signer
from auditsite import hand_out as module
from auditsite.hand_out import HOLDERS, NAMES, TLS, Places, hand_out


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The folders as the service `setup` has them; whoever runs the test stands for all users."""
    for name in ("APP", "SERVER", "PROXY"):
        monkeypatch.setattr(module, name, os.getuid())
    for name, holder in HOLDERS.items():
        monkeypatch.setitem(HOLDERS, name, dataclasses.replace(holder, user=os.getuid()))
        (tmp_path / "handed" / name).mkdir(parents=True)
    for folder in ("given", "kept", "wal", "keys/log", "keys/receipt", "keys/public", "data/spool"):
        (tmp_path / folder).mkdir(parents=True)
    return Places(*(tmp_path / name for name in ("given", "kept", "handed", "keys", "wal", "data")))


def handed(places: Places) -> dict[str, str]:
    """Every file that some service has, by its path."""
    files = [path for path in places.handed.rglob("*") if path.is_file()]
    return {str(path.relative_to(places.handed)): path.read_text(encoding="utf-8") for path in files}


def test_on_a_clean_host_all_are_made(places: Places) -> None:
    account = hand_out(places, "audit.example.com")
    assert set(account.made) == NAMES - {"database_admin_url"} and account.given == account.kept == []
    files = handed(places)
    assert set(files) == {f"{folder}/{name}" for folder, holder in HOLDERS.items() for name in holder.secrets}
    assert files["web/redis_web_url"] == files["redis/redis_web_url"]
    assert files["worker/database_url"] == files["web/database_url"]
    password = files["postgres/postgres_password"]
    assert files["migrate/database_admin_url"] == f"postgresql://postgres:{password}@postgres/postgres"
    assert len({text for name, text in files.items() if name.startswith("redis/")}) == 9


def test_files_are_their_owners_alone(places: Places) -> None:
    hand_out(places, "localhost")
    for path in (*places.handed.rglob("*"), *places.kept.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o400 if path.is_file() else 0o500), path
    assert stat.S_IMODE((places.keys / "log").stat().st_mode) == 0o700
    assert stat.S_IMODE((places.keys / "public").stat().st_mode) == 0o755


def test_a_second_start_changes_nothing(places: Places) -> None:
    hand_out(places, "localhost")
    before = {path: path.stat().st_ino for path in places.handed.rglob("*")}
    account = hand_out(places, "localhost")
    assert account.made == [] and set(account.kept) == NAMES - {"database_admin_url"}
    assert {path: path.stat().st_ino for path in places.handed.rglob("*")} == before


def test_what_a_service_lost_it_gets_again(places: Places) -> None:
    hand_out(places, "localhost")
    before = handed(places)
    places.handed.joinpath("web").chmod(0o700)
    (places.handed / "web" / "secret_key").unlink()
    hand_out(places, "localhost")
    assert handed(places) == before


def test_what_is_given_counts_and_goes_to_all_who_need_it(places: Places) -> None:
    hand_out(places, "localhost")
    (places.given / "redis_web_url").write_text("redis://web:another@redis:6379/0\n")
    (places.given / "postgres_password").write_text("given")
    (places.given / "secret_keys").write_text("of another name")
    account = hand_out(places, "localhost")
    assert account.given == ["postgres_password", "redis_web_url"] and account.unknown == ["secret_keys"]
    files = handed(places)
    assert files["web/redis_web_url"] == files["redis/redis_web_url"] == "redis://web:another@redis:6379/0"
    assert files["migrate/database_admin_url"] == "postgresql://postgres:given@postgres/postgres"


def give_targets(places: Places, **files: str) -> None:
    """Put files into ./secrets/streams, beside what an editor leaves there."""
    (places.given / "streams").mkdir(exist_ok=True)
    for name, text in (files | {".streams.toml.swp": "half of it"}).items():
        (places.given / "streams" / name.replace("_toml", ".toml")).write_text(text)


def test_the_streamer_alone_gets_the_targets_and_their_secrets(places: Places) -> None:
    give_targets(places, streams_toml="[lake]\ntype = 'file'\n", siem_token="s3cret")
    hand_out(places, "localhost")
    (places.given / "streams" / "siem_token").unlink()
    files = handed(places)
    assert files["stream/streams.toml"] == "[lake]\ntype = 'file'\n" and files["stream/siem_token"] == "s3cret\n"
    assert not {name for name in files if name.startswith(".") or "swp" in name}
    assert {name for name in files if "streams.toml" in name or "siem" in name} == {
        "stream/streams.toml",
        "stream/siem_token",
    }
    hand_out(places, "localhost")
    assert "stream/siem_token" not in handed(places) and "stream/database_url" in handed(places)


def test_a_target_cannot_take_the_place_of_a_secret_of_ours(places: Places) -> None:
    give_targets(places, database_url="postgresql://elsewhere")
    with pytest.raises(SystemExit, match=r"secrets/streams/database_url: the streamer has a secret of that name"):
        hand_out(places, "localhost")


def test_what_is_no_text_is_refused(places: Places) -> None:
    give_targets(places)
    (places.given / "streams" / "certificate").write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit, match=r"secrets/streams/certificate is no text"):
        hand_out(places, "localhost")


@pytest.mark.parametrize("name", ["secret_key", "seal_key"])
def test_an_empty_one_is_refused(places: Places, name: str) -> None:
    (places.given / name).write_text("\n")
    with pytest.raises(SystemExit, match=f"secrets/{name} is empty"):
        hand_out(places, "localhost")


def test_a_certificate_needs_its_key(places: Places) -> None:
    (places.given / TLS[0]).write_text("a certificate")
    with pytest.raises(SystemExit, match="both are needed"):
        hand_out(places, "localhost")


def test_a_certificate_of_ones_own_is_taken_as_it_is(places: Places) -> None:
    for name in TLS:
        (places.given / name).write_text(f"own {name}")
    account = hand_out(places, "localhost")
    assert set(TLS) <= set(account.given)
    assert handed(places)["proxy/tls_key"] == "own tls_key"


def test_another_name_gets_another_certificate_and_keeps_all_else(places: Places) -> None:
    hand_out(places, "localhost")
    before = handed(places)
    account = hand_out(places, "audit.example.com")
    after = handed(places)
    assert account.made == list(TLS)
    assert {name for name in after if after[name] != before[name]} == {f"proxy/{name}" for name in TLS}
    certificate = x509.load_pem_x509_certificate(after["proxy/tls_certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["audit.example.com", "localhost"]


def test_given_signing_keys_are_taken_once_so_that_a_rotation_stays(places: Places) -> None:
    signer = Signer("audit.example.com/log", bytes(32))
    (places.given / "seal_key").write_text(signer.encode())
    (places.given / "public").mkdir()
    (places.given / "public" / "seal_key.pub").write_text(f"{signer.verifier}\n")
    hand_out(places, "localhost")
    private, public = places.keys / "log" / "seal_key", places.keys / "public" / "seal_key.pub"
    assert private.read_text() == signer.encode() + "\n" and public.read_text() == f"{signer.verifier}\n"
    private.write_text("rotated")
    hand_out(places, "localhost")
    assert private.read_text() == "rotated"


def test_folders_of_another_user_become_ours(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled = places.data / "spool" / "events"
    spooled.write_text("spooled")
    given: list[tuple[Path, int]] = []
    monkeypatch.setattr(module, "APP", os.getuid() + 1)
    monkeypatch.setattr(os, "chown", lambda path, user, group, **_: given.append((path, user)))
    hand_out(places, "localhost")
    assert [path for path, user in given if places.data in path.parents] == [spooled, places.data / "spool"]
    assert all(user == os.getuid() + 1 for path, user in given if places.data in path.parents)
    given.clear()
    monkeypatch.setattr(module, "APP", os.getuid())
    hand_out(places, "localhost")
    assert [path for path, _ in given if places.data in path.parents] == []


def test_it_says_what_came_from_where_and_no_secret(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(module, "Path", lambda name: getattr(places, str(name).removeprefix("/")))
    (places.given / "secret_key").write_text("a very secret key")
    assert module.main() == 0
    said = capsys.readouterr().out
    assert said.startswith("given in ./secrets: secret_key\nmade now: ") and "redis_web_url" in said
    assert not any(text in said for text in handed(places).values())
