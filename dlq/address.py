"""Read the address of a Redis: one server, the service of some Sentinels, or a cluster. Pure.

    redis://[user:password@]host[:6379][/0]                      one server
    unix://[user:password@]/path/of/the/socket[?db=0]
    redis+sentinel://[user:password@]host1[:26379],host2/service[/0]
    redis+cluster://[user:password@]host1[:6379],host2

`rediss` in place of `redis` is TLS, to Sentinels as well. docs/connections.md lists the parameters.
"""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from redis.connection import parse_url

Kind = Literal["server", "sentinel", "cluster"]
Place = tuple[str, int]

PORTS = {"server": 6379, "sentinel": 26379, "cluster": 6379}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_ALONE = (*FILES, "ssl_check_hostname", "ssl_cert_reqs", "ssl_min_version")
SENTINELS_ALONE = ("sentinel_username", "sentinel_password")
ANYWHERE = ("db", "client_name", "health_check_interval", "max_connections", "protocol", "socket_keepalive")
HINT = "see docs/connections.md for its forms"


class UnreadableAddress(ValueError):
    """An address of Redis that cannot be read; says what is wrong, and nothing secret of it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is. `places` are its servers, or Sentinels; without any it is a socket of this machine."""

    kind: Kind
    places: tuple[Place, ...]
    is_tls: bool
    # What a connection is made with: user, password, database, files of TLS, the path of a socket.
    options: dict[str, Any] = field(repr=False)
    # What a connection to a Sentinel is made with.
    sentinel_options: dict[str, Any] = field(repr=False)
    # The name that Sentinels know the servers by.
    service: str = ""

    @property
    def fails_over(self) -> bool:
        """Whether another server takes the place of the primary by itself: it may lack what no replica has."""
        return self.kind != "server"


@lru_cache(maxsize=16)
def read(url: str) -> Address:
    """Return where `url` points. Raises `UnreadableAddress`."""
    scheme, separator, rest = url.partition("://")
    plain, _, way = scheme.partition("+")
    kind: Kind | None = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}.get(way)  # type: ignore[assignment]
    if not separator or kind is None or plain not in ("redis", "rediss", "unix") or (way and plain == "unix"):
        raise UnreadableAddress(
            "it must begin with redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// "
            f"or rediss+cluster://; {HINT}"
        )
    parts = urlsplit(f"{plain}://{rest}")
    if parts.fragment or "#" in rest:
        raise UnreadableAddress("it has a `#`; in a password write %23")
    places = () if plain == "unix" else _places(parts.netloc.rpartition("@")[2], PORTS[kind])
    service, database = _of_path(kind, parts.path)
    options = _options(parts.netloc.rpartition("@")[0], database, parts.query, parts.path if plain == "unix" else "")
    _check(options, kind, is_tls=plain == "rediss")
    of_sentinels = {name: options.pop(name) for name in SENTINELS_ALONE if name in options}
    tls = {name: value for name, value in options.items() if name in TLS_ALONE}
    sentinel_options = {name.removeprefix("sentinel_"): value for name, value in of_sentinels.items()} | tls
    return Address(kind, places, plain == "rediss", options, sentinel_options, service)


def unreadable_files(address: Address) -> list[str]:
    """Return the files of TLS that this process cannot read, as `ssl_ca_certs /path`."""
    named = [(name, str(address.options[name])) for name in FILES if name in address.options]
    return [f"{name} {path}" for name, path in named if not os.access(path, os.R_OK)]


def _places(text: str, port: int) -> tuple[Place, ...]:
    return tuple(_place(place, port) for place in text.split(","))


def _place(text: str, port: int) -> Place:
    try:
        parts = urlsplit(f"//{text}")
        host, named = unquote(parts.hostname or ""), parts.port
    except ValueError:
        host, named = "", None
    if not host or "@" in text:
        raise UnreadableAddress(
            "a host or a port in it cannot be read; in a user or a password write %40 for @, %2F for /, %3A for :, "
            "%3F for ?, %23 for #, %25 for %"
        )
    return host, named or port


def _of_path(kind: Kind, path: str) -> tuple[str, str]:
    """Return the name of the service, and the database as it is written."""
    if kind != "sentinel":
        return "", path.strip("/")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise UnreadableAddress("after the Sentinels there must be /NAME of the service, as in `sentinel monitor NAME`")
    return unquote(service), database


def _options(who: str, database: str, query: str, socket: str) -> dict[str, Any]:
    # redis-py reads all that is the same in every form, from an address that has one host alone.
    place = socket or f"localhost/{'' if socket else database}"
    try:
        at = f"{who}{'@' if who else ''}{place}?{query}"
        options: dict[str, Any] = parse_url(f"{'unix' if socket else 'redis'}://{at}")  # type: ignore[no-untyped-call]
    except ValueError:
        raise UnreadableAddress("a parameter after `?` has no value that can be read; " + HINT) from None
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    if not socket and database and "db" not in options:
        raise UnreadableAddress("the database after the last / must be a number")
    return options


def _check(options: dict[str, Any], kind: Kind, *, is_tls: bool) -> None:
    allowed = {*ANYWHERE, *(TLS_ALONE if is_tls else ()), *(SENTINELS_ALONE if kind == "sentinel" else ())}
    unknown = sorted(options.keys() - allowed - {"username", "password", "path"})
    if unknown:
        raise UnreadableAddress(f"the parameter {', '.join(unknown)} means nothing in this form; {HINT}")
    if ("ssl_certfile" in options) != ("ssl_keyfile" in options):
        raise UnreadableAddress("ssl_certfile and ssl_keyfile go together: the certificate of a client, and its key")
    if kind == "cluster" and options.get("db"):
        raise UnreadableAddress("a cluster has no databases: leave the number out")
