"""The secrets of docker-compose.yml: take those that are given, make those that are missing, give each service its own.

    python -m auditsite.hand_out     runs as root, once before all services and at each `docker compose up`

What is given lies in GIVEN (the folder `secrets` beside docker-compose.yml) and counts each time; what was made is kept
in KEPT. HANDED has a folder for each service, mounted into it alone. Signing keys are not made here but by their
commands, in KEYS; given ones are copied there once, for a rotation puts others in their place.
"""

import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from auditsite import self_signed

APP, SERVER, PROXY = 10_001, 999, 101
"""The users of our image, of PostgreSQL and Redis, of nginx."""

DATABASES = {"database_url": "audit_app", "database_owner_url": "audit_owner", "database_reader_url": "audit_reader"}
DATABASES |= {"database_backup_url": "audit_backup"}
QUEUE = tuple(
    f"redis_{role}_url" for role in ("web", "park", "drain", "worker", "seal", "stream", "backup", "queue", "migrate")
)
CACHE = "redis_cache_url"
TLS = ("tls_certificate", "tls_key")
# What every process of ours reads, whatever it does; beside it each has a role of its own in Redis.
COMMON = ("database_url", "database_reader_url", "secret_key", "redis_queue_url", CACHE)


@dataclass(frozen=True)
class Holder:
    """A service, or several that do the same, and what they are given; the files are those of `user`."""

    user: int
    secrets: tuple[str, ...]


HOLDERS = {
    "postgres": Holder(SERVER, ("postgres_password",)),
    "redis": Holder(SERVER, QUEUE),
    "cache": Holder(SERVER, (CACHE,)),
    "migrate": Holder(APP, (*COMMON, *DATABASES, "database_admin_url", "redis_migrate_url", "redis_seal_url")),
    "web": Holder(APP, (*COMMON, "redis_web_url")),
    "worker": Holder(APP, (*COMMON, "redis_worker_url")),
    "drain": Holder(APP, (*COMMON, "redis_drain_url")),
    "seal": Holder(APP, (*COMMON, "redis_seal_url")),
    "stream": Holder(APP, (*COMMON, "redis_stream_url")),
    "backup": Holder(APP, (*COMMON, "redis_backup_url", "database_backup_url")),
    "proxy": Holder(PROXY, TLS),
}
"""By the folder that each has."""

TARGETS = "streams"
"""The folder in `given` that has streams.toml, and the secrets of the targets that it names: for the streamer alone."""
NAMES = {name for holder in HOLDERS.values() for name in holder.secrets}
SIGNING_KEYS = {"seal_key": "log", "receipt_key": "receipt"}
"""The file of each private key, and its folder in KEYS; the public halves are all in `public`."""


@dataclass(frozen=True)
class Places:
    """The folders, each of them there."""

    given: Path
    kept: Path
    handed: Path
    keys: Path
    wal: Path
    # Of what our services write, each a folder in it.
    data: Path


@dataclass
class Account:
    """Which secrets were given, made now, and kept from before; never what is in them."""

    given: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def hand_out(places: Places, server_name: str) -> Account:
    """Bring every folder up to date; return what came from where.

    Files that are right already are not touched. Raises `SystemExit` where a given secret cannot be used, `OSError`.
    """
    account = Account()
    values = _values(places, account)
    if not (places.given / TLS[0]).exists() and self_signed.is_due(values.get(TLS[0]), server_name):
        values |= dict(zip(TLS, self_signed.make(server_name), strict=True))
        account.kept = [name for name in account.kept if name not in TLS]
        account.made += TLS
    for name, value in values.items():
        _write(places.kept / name, value, 0)
    for folder, holder in HOLDERS.items():
        _own(places.handed / folder, holder.user, 0o500)
        for name in holder.secrets:
            _write(places.handed / folder / name, values[name], holder.user)
    _hand_targets(places)
    _hand_keys(places)
    # PostgreSQL puts its WAL there, and the service that backs up removes what no backup needs.
    _own(places.wal, SERVER, 0o770, group=APP)
    for written in places.data.iterdir():
        _take_over(written)
    return account


def _values(places: Places, account: Account) -> dict[str, str]:
    """The content of every secret but the certificate, where there is none yet."""
    given = {path.name: path for path in sorted(places.given.iterdir()) if path.is_file()}
    account.unknown = sorted(given.keys() - NAMES - SIGNING_KEYS.keys() - {"README.md"})
    if (TLS[0] in given) != (TLS[1] in given):
        raise SystemExit(f"secrets/ has one of {' and '.join(TLS)}, and both are needed.")
    values: dict[str, str] = {}
    # The administrator's address has the password of PostgreSQL in it.
    for name in sorted(NAMES, key=lambda name: (name == "database_admin_url", name)):
        kept = places.kept / name
        if name in given:
            values[name] = _read(given[name], places.given)
            account.given.append(name)
        elif name == "database_admin_url":
            values[name] = f"postgresql://postgres:{values['postgres_password']}@postgres/postgres"
        elif kept.exists():
            values[name] = kept.read_text(encoding="utf-8")
            account.kept.append(name)
        elif name not in TLS:
            values[name] = _made(name)
            account.made.append(name)
    return values


def _read(path: Path, given: Path) -> str:
    name = f"secrets/{path.relative_to(given)}"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise SystemExit(f"{name} is no text in UTF-8: put the secret itself there, certificates as PEM.") from None
    if not text:
        raise SystemExit(f"{name} is empty: fill it, or remove it, then one is made.")
    return text


def _made(name: str) -> str:
    password = secrets.token_hex(32)
    if name in DATABASES:
        return f"postgresql://{DATABASES[name]}:{password}@postgres/audit"
    if name == CACHE:
        return f"redis://cache:{password}@cache:6379/0"
    if name in QUEUE:
        role = name.removeprefix("redis_").removesuffix("_url")
        return f"redis://{role}:{password}@redis:6379/{2 if role == 'queue' else 0}"
    return password


def _hand_targets(places: Places) -> None:
    """Give the streamer what lies in `streams`, and take back what lies there no more."""
    if not (places.given / TARGETS).is_dir():
        return
    own, folder = set(HOLDERS["stream"].secrets), places.handed / "stream"
    given = {path.name: path for path in (places.given / TARGETS).iterdir() if path.is_file()}
    given = {name: path for name, path in given.items() if not name.startswith(".")}
    if taken := sorted(given.keys() & own):
        raise SystemExit(f"secrets/{TARGETS}/{taken[0]}: the streamer has a secret of that name: give it another.")
    for name, path in given.items():
        _write(folder / name, _read(path, places.given) + "\n", HOLDERS["stream"].user)
    for path in folder.iterdir():
        if path.name not in given.keys() | own:
            path.unlink()


def _hand_keys(places: Places) -> None:
    """Folders of the signing keys: private to our user, public to everybody; given keys into those that are empty."""
    for folder, mode in (*((name, 0o700) for name in SIGNING_KEYS.values()), ("public", 0o755)):
        _own(places.keys / folder, APP, mode)
    for name, folder in SIGNING_KEYS.items():
        private, public = places.given / name, places.given / "public" / f"{name}.pub"
        if private.exists() and not (places.keys / folder / name).exists():
            _write(places.keys / folder / name, _read(private, places.given) + "\n", APP, mode=0o600)
            if public.exists():
                _write(places.keys / "public" / public.name, _read(public, places.given) + "\n", APP, mode=0o644)


def _take_over(folder: Path) -> None:
    """Give a folder of another user, as older images had it, to ours, with all that is in it."""
    if folder.stat().st_uid != APP:
        for path in (*folder.rglob("*"), folder):  # itself last: what was cut off is done again
            os.chown(path, APP, APP, follow_symlinks=False)


def _own(folder: Path, user: int, mode: int, *, group: int | None = None) -> None:
    os.chown(folder, user, user if group is None else group)
    folder.chmod(mode)


def _write(path: Path, text: str, user: int, *, mode: int = 0o400) -> None:
    """Put a file there in one step, unless it is there with this content."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchown(file.fileno(), user, user)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def main() -> int:
    """For the service `setup` of docker-compose.yml, which mounts these folders."""
    places = Places(*(Path(f"/{name}") for name in ("given", "kept", "handed", "keys", "wal", "data")))
    account = hand_out(places, os.environ.get("SERVER_NAME") or "localhost")
    for text, names in (
        ("given in ./secrets", account.given),
        ("made now", account.made),
        ("kept from before", account.kept),
        ("in ./secrets, and of no use to any service", account.unknown),
    ):
        if names:
            print(f"{text}: {', '.join(sorted(names))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
