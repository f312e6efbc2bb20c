"""Typed readers of the environment, for the settings alone."""

import os
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import Env

from dlq import address

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
# `make run` leaves the addresses of its servers here, so that manage.py finds them in another shell.
env.read_env(os.environ.get("RUN_ENV", str(BASE_DIR / ".local" / "run.env")), recurse=False, override=False)


def secret(name: str, default: str | None = None) -> str:
    """Read `name`, or the file that `name`_FILE points at (trailing newline removed)."""
    if path := os.environ.get(f"{name}_FILE"):
        os.environ[name] = Path(path).read_text(encoding="utf-8").rstrip("\n")
    return env.str(name) if default is None else env.str(name, default)


def redis_address(name: str, default: str | None = None) -> str:
    """Read `name` as `secret` does: the address of a Redis. Raises `ImproperlyConfigured` where none can be read."""
    url = secret(name, default)
    try:
        if url:
            address.read(url)
    except address.UnreadableAddress as error:
        raise ImproperlyConfigured(f"{name} is no address of a Redis: {error}.") from None
    return url


def traces() -> tuple[bool, bool]:
    """Return whether OpenTelemetry's own variables ask for traces, and whether the extra `otel` is there to make them.

    Nothing of OpenTelemetry is imported for that.
    """
    named = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))
    is_off = (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    )
    wanted = named and not is_off
    try:
        return wanted, wanted and bool(metadata.version("opentelemetry-exporter-otlp-proto-http"))
    except metadata.PackageNotFoundError:
        return wanted, False


def lines(text: str) -> list[str]:
    """Return the lines of a secret; the first may be empty, the others are not."""
    first, *others = text.split("\n")
    return [first.strip(), *(line.strip() for line in others if line.strip())]


def moment(text: str) -> datetime | None:
    """Read a date, or a date with a time: of UTC unless it names another zone; None where there is none."""
    at = datetime.fromisoformat(text) if text else None
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at


def key_file(name: str, file: str) -> Path | None:
    """Return the path in `name`_FILE, or that of `file` in the directory `name`_DIR; None without either.

    A container that mounts a directory sees a file in it that was replaced; one that mounts the file never does.
    """
    path: Path | None = env.path(f"{name}_FILE", None)
    folder: Path | None = env.path(f"{name}_DIR", None)
    return folder / file if path is None and folder is not None else path
