"""The configuration of a client, checked before anything is recorded."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from auditclient.errors import ConfigError

Durability = Literal["disk", "process"]
PATH_END = "/api/v1/audit"
LONGEST = {"batch_events": 1000, "batch_kb": 4096}
PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class DLQConfig:
    """The dead letter queue of the store. There is no switch for it: what the store does not take goes there."""

    # The Redis of the store's queue, as the user who may only park: redis://park:PASSWORD@HOST:6379/0.
    redis_url: str = field(repr=False)
    # DLQ_PREFIX of the store.
    prefix: str = "dlq"
    timeout_s: float = 0.5
    # How many replicas must confirm what is parked, as DLQ_MIN_REPLICAS of the store.
    min_replicas: int = 0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a client needs to know. `check` says what is wrong with it."""

    # Up to and with /api/v1/audit, without a slash at its end.
    url: str
    key: str = field(repr=False)
    dlq: DLQConfig
    # A folder on a local disk, for this service alone; processes of the service share it.
    spool_dir: Path
    spool_max_mb: int = 256
    # "disk": what `record` returned for survives a loss of power; "process": a kill -9 of the process alone.
    durability: Durability = "disk"
    batch_events: int = 500
    batch_kb: int = 1024
    batch_age_s: float = 0.2
    timeout_s: float = 10.0
    # How long `record` waits for room in a full spool before it says that nothing was kept.
    block_s: float = 30.0
    # How long the end of the process waits for what is not sent yet. The rest stays in the spool.
    exit_s: float = 5.0
    heartbeat_s: float = 60.0
    manifest_s: float = 3600.0
    gzip: bool = False
    # Public keys of the store's receipts (name+id+base64): with them each receipt is verified.
    receipt_keys: tuple[str, ...] = ()
    keep_receipts: bool = True
    # A file of certificate authorities to trust, instead of the usual ones.
    ca_file: str = ""

    @classmethod
    def of_environment(cls, environ: Mapping[str, str] = os.environ, **given: Any) -> "Config":
        """Read AUDIT_URL, AUDIT_KEY, AUDIT_REDIS_URL, AUDIT_SPOOL_DIR and the rest by name; `given` goes first.

        With AUDIT_KEY_FILE or AUDIT_REDIS_URL_FILE the value is the content of that file. Raises `ConfigError`.
        """
        faults: list[str] = []
        values: dict[str, Any] = {}
        dlq: dict[str, Any] = {"redis_url": given.pop("redis_url", None) or _text(environ, "AUDIT_REDIS_URL", faults)}
        dlq |= {"prefix": given.pop("dlq_prefix", None) or environ.get("AUDIT_DLQ_PREFIX", DLQConfig.prefix)}
        for each in fields(cls):
            if each.name == "dlq":
                continue
            name = f"AUDIT_{each.name.upper()}"
            if each.name in given:
                values[each.name] = given.pop(each.name)
            elif each.name in ("url", "key", "spool_dir"):
                values[each.name] = _text(environ, name, faults)
            elif name in environ:
                values[each.name] = _read(name, environ[name], each.default, faults)
        if given:
            faults.append(f"{', '.join(sorted(given))}: no such setting")
        if faults:
            raise ConfigError(_all(faults))
        values |= {"spool_dir": Path(values["spool_dir"]), "dlq": DLQConfig(**dlq)}
        return cls(**values)

    def check(self) -> None:
        """Raise `ConfigError` naming all that is wrong at once. Makes the folder of the spool where it is missing."""
        faults = [*_faults_of_store(self), *_faults_of_dlq(self.dlq), *_faults_of_numbers(self)]
        if fault := _fault_of_folder(self.spool_dir):
            faults.append(fault)
        if faults:
            raise ConfigError(_all(faults))


def _all(faults: list[str]) -> str:
    return "The audit client cannot start:\n" + "\n".join(f"- {fault}" for fault in faults)


def _text(environ: Mapping[str, str], name: str, faults: list[str]) -> str:
    if path := environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            faults.append(f"{name}_FILE: cannot be read ({type(error).__name__})")
            return ""
    if not environ.get(name):
        faults.append(f"{name}: is not set")
    return environ.get(name, "")


def _read(name: str, text: str, default: Any, faults: list[str]) -> Any:
    if isinstance(default, bool):
        return text.lower() in ("1", "true", "yes", "on")
    if isinstance(default, tuple):
        return tuple(text.split())
    try:
        return type(default)(text)
    except ValueError:
        faults.append(f"{name}: {text[:40]!r} is no number")
        return default


def _faults_of_store(config: Config) -> list[str]:
    faults = []
    address = urlsplit(config.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        faults.append("url: must be http:// or https:// and a host")
    elif not address.path.endswith(PATH_END):
        faults.append(f"url: must end with {PATH_END}, without a slash after it")
    if not config.key or any(not 33 <= ord(character) <= 126 for character in config.key):
        faults.append("key: must be the API key of a writer: visible ASCII characters alone")
    if config.ca_file and not Path(config.ca_file).is_file():
        faults.append(f"ca_file: there is no file {config.ca_file}")
    return faults


def _faults_of_dlq(dlq: DLQConfig) -> list[str]:
    faults = []
    if urlsplit(dlq.redis_url).scheme not in ("redis", "rediss", "unix"):
        faults.append("redis_url: must begin with redis://, rediss:// or unix://: the Redis of the store's queue")
    if not PREFIX.fullmatch(dlq.prefix):
        faults.append("dlq_prefix: must be DLQ_PREFIX of the store: letters, digits, '_', '.' and '-'")
    return faults


def _faults_of_numbers(config: Config) -> list[str]:
    faults = []
    for name in ("spool_max_mb", "batch_events", "batch_kb", "batch_age_s", "timeout_s", "heartbeat_s", "manifest_s"):
        value = getattr(config, name)
        if not 0 < value <= LONGEST.get(name, value):
            faults.append(f"{name}: must be above 0" + (f" and at most {LONGEST[name]}" if name in LONGEST else ""))
    if config.durability not in get_args(Durability):
        faults.append(f"durability: must be one of {', '.join(get_args(Durability))}")
    return faults


def _fault_of_folder(folder: Path) -> str:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"spool_dir: {folder} cannot be made ({error.strerror})"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"spool_dir: {folder} cannot be written to"
    return ""
