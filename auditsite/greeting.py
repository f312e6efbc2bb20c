"""What `make run` prints once the site serves: where it is, who may log in, and requests that can be pasted."""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import redis
import uuid_utils.compat

from audit.access.roles import MAY
from audit.api.openapi.examples import EVENT

SAMPLE = (
    "a week of a made-up system, incomplete on purpose, so that the start page has something to say: events 17 and 18",
    "of the writer gateway never came, and many works have no end (expectations that are not met). Nothing is broken.",
)


def lines(port: int, ingest_port: int, local: Path, env: dict[str, str], origins: dict[str, str]) -> Iterator[str]:
    """The text, line by line. `origins` says of "PostgreSQL" and "Redis" where each comes from."""
    site, ingest = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ingest_port}"
    yield f"site      {site}/admin/"
    yield f"ingest    {ingest}/api/v1/audit/events   for writers: what people do at the site cannot slow it down"
    yield f"API       {site}/api/v1/audit/events   every call: /api/docs/"
    yield f"health    {site}/readyz   /metrics   /status"
    yield f"servers   {postgres_version(env['DATABASE_URL'])}, {origins['PostgreSQL']}"
    yield f"          {redis_version(env['REDIS_URL'])}, {origins['Redis']}"
    yield f"log key   {_first_line(local / 'secrets' / 'seal_key.pub')}"
    yield f"receipts  {_first_line(local / 'secrets' / 'receipt_key.pub')}"
    yield f"logs      {local / 'log'}"
    logins = local / "logins"
    yield from _sample(logins, site, ingest) if logins.exists() else _without_sample()
    yield ""
    yield "In another shell, `.venv/bin/python manage.py ...` works on this store. Ctrl-C stops everything."


def postgres_version(url: str) -> str:
    """Which PostgreSQL answers there."""
    with psycopg.connect(url) as connection:
        number = str(connection.info.parameter_status("server_version"))
    return f"PostgreSQL {number.partition(' ')[0]}"


def redis_version(url: str) -> str:
    """Which Redis or Valkey answers there."""
    with redis.Redis.from_url(url) as client:
        said = client.info("server")
    return f"Valkey {said['valkey_version']}" if "valkey_version" in said else f"Redis {said['redis_version']}"


def _sample(logins: Path, site: str, ingest: str) -> Iterator[str]:
    """The logins, what each may do, and requests with the key of the sample's writer."""
    key = ""
    yield ""
    for line in logins.read_text(encoding="utf-8").splitlines():
        if line.startswith("login "):
            who, _, password = line.removeprefix("login ").partition(" / ")
            yield f"login     {who} / {password}   {MAY[who]}"
        else:
            key = line.rpartition(" ")[2]
    yield f"sample    {SAMPLE[0]}"
    yield from (f"          {text}" for text in SAMPLE[1:])
    yield from requests(site, ingest, key)


def _without_sample() -> Iterator[str]:
    yield ""
    yield "The store was in use already, so no sample was loaded and no login was made. A login, a key:"
    yield "  .venv/bin/python manage.py createsuperuser"
    yield "  .venv/bin/python manage.py writer create NAME --scopes write read"


def requests(site: str, ingest: str, key: str) -> Iterator[str]:
    """One request that sends an event, sent again it is the same record; and one that reads it back."""
    event_id, now = str(uuid_utils.compat.uuid7()), datetime.now(UTC)
    body = json.dumps({"event_id": event_id} | EVENT | {"event_timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
    events, header = "/api/v1/audit/events", shlex.quote(f"X-API-Key: {key}")
    yield ""
    yield "Send an event. Sent again it is the same record, for its event_id is the same:"
    yield f"  curl {ingest}{events} -H {header} \\"
    yield f"    -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    yield "Read it back:"
    yield f"  curl {site}{events}/{event_id} -H {header}"


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0]
