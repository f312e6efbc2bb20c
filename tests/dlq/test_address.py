"""Each form of an address of Redis is read whole, or refused in words that say why, without its secrets."""

import pytest

from dlq.address import Address, UnreadableAddress, read

SECRET = "p@ss/w:o#r?d%"
ENCODED = "p%40ss%2Fw%3Ao%23r%3Fd%25"


def test_a_server_is_read_with_its_user_and_its_database() -> None:
    address = read(f"redis://us%40er:{ENCODED}@redis.example:6380/3")
    assert (address.kind, address.places, address.is_tls) == ("server", (("redis.example", 6380),), False)
    assert address.options == {"username": "us@er", "password": SECRET, "db": 3}
    assert not address.fails_over


def test_a_socket_is_read_with_its_database() -> None:
    address = read("unix:///run/redis%20one.sock?db=2")
    assert (address.places, address.options) == ((), {"path": "/run/redis one.sock", "db": 2})


def test_sentinels_are_read_with_their_service() -> None:
    address = read(f"redis+sentinel://user:{ENCODED}@one,two:26380,[::1]/my%2Fqueue/4?sentinel_password={ENCODED}")
    assert address.places == (("one", 26379), ("two", 26380), ("::1", 26379))
    assert (address.kind, address.service, address.fails_over) == ("sentinel", "my/queue", True)
    assert address.options == {"username": "user", "password": SECRET, "db": 4}
    assert address.sentinel_options == {"password": SECRET}


def test_a_cluster_is_read_with_each_of_its_places() -> None:
    address = read("redis+cluster://one,two:7001")
    assert (address.kind, address.places, address.fails_over) == ("cluster", (("one", 6379), ("two", 7001)), True)


def test_files_of_tls_are_for_sentinels_as_well() -> None:
    files = {"ssl_ca_certs": "/ca", "ssl_certfile": "/crt", "ssl_keyfile": "/key"}
    query = "&".join(f"{name}={path}" for name, path in files.items())
    address = read(f"rediss+sentinel://one/queue?{query}")
    assert (address.is_tls, address.options, address.sentinel_options) == (True, files, files)
    assert read(f"rediss://one?{query}").options == files


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis:one", "it must begin with"),
        ("http://one", "it must begin with"),
        ("redis+sentinels://one/queue", "it must begin with"),
        ("unix+sentinel://one/queue", "it must begin with"),
        (f"redis://user:{SECRET}@one", "a password write %23"),
        ("redis://user:p/ass@one/0", "write %40 for @, %2F for /"),
        ("redis://one:port", "a host or a port in it cannot be read"),
        ("redis+sentinel://one,,two/queue", "a host or a port in it cannot be read"),
        ("redis+sentinel://one,two", "/NAME of the service"),
        ("redis://one/queue", "must be a number"),
        ("redis+cluster://one/1", "a cluster has no databases"),
        ("redis://one?ssl_ca_certs=/ca", "the parameter ssl_ca_certs means nothing"),
        ("rediss://one?ssl_ca_cert=/ca", "the parameter ssl_ca_cert means nothing"),
        ("redis://one?sentinel_password=x", "the parameter sentinel_password means nothing"),
        ("redis://one?db=first", "has no value that can be read"),
        ("rediss://one?ssl_certfile=/crt", "ssl_certfile and ssl_keyfile go together"),
    ],
)
def test_what_cannot_be_read_is_said(url: str, words: str) -> None:
    with pytest.raises(UnreadableAddress, match=words) as caught:
        read(url)
    assert "ass" not in str(caught.value).replace("password", "").replace("pass in", "")


def test_no_secret_is_in_what_is_shown_of_an_address() -> None:
    address = read(f"redis+sentinel://user:{ENCODED}@one/queue?sentinel_password=other")
    assert isinstance(address, Address)
    assert not any(word in repr(address) for word in (SECRET, ENCODED, "other"))
