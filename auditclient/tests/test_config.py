"""What is wrong with a configuration is said at start, all at once, and nothing secret with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KEY

from auditclient import Client, Config, ConfigError, DLQConfig

SOUND = {
    "AUDIT_URL": "https://audit.example.com/api/v1/audit",
    "AUDIT_KEY": KEY,
    "AUDIT_REDIS_URL": "redis://park:secret@redis/0",
}


def test_it_is_read_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    environ = {name: value for name, value in SOUND.items() if name != "AUDIT_KEY"}
    environ |= {"AUDIT_KEY_FILE": str(tmp_path / "key"), "AUDIT_SPOOL_DIR": str(tmp_path), "AUDIT_GZIP": "true"}
    config = Config.of_environment(environ | {"AUDIT_BATCH_EVENTS": "7", "AUDIT_DLQ_PREFIX": "prod"})
    config.check()
    assert (config.key, config.gzip, config.batch_events, config.dlq.prefix) == (KEY, True, 7, "prod")
    assert KEY not in repr(config) and "secret" not in repr(config)


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        Config.of_environment({"AUDIT_BATCH_AGE_S": "soon"}, no_such_thing=1)
    text = str(error.value)
    for name in ("AUDIT_URL", "AUDIT_KEY", "AUDIT_REDIS_URL", "AUDIT_SPOOL_DIR", "AUDIT_BATCH_AGE_S", "no_such_thing"):
        assert name in text


def test_all_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    dlq = DLQConfig(redis_url="http://redis", prefix="a b")
    config = Config(url="audit", key="se cret", dlq=dlq, spool_dir=tmp_path / "file" / "spool", batch_events=1001)
    with pytest.raises(ConfigError) as error:
        Client(config)
    text = str(error.value)
    for name in ("url:", "key:", "redis_url:", "dlq_prefix:", "spool_dir:", "batch_events:"):
        assert name in text
    assert "se cret" not in text


def test_the_end_of_the_address_and_the_keys_of_receipts_are_checked(a_config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="must end with /api/v1/audit"):
        Client(a_config(url="http://127.0.0.1/"))
    with pytest.raises(ConfigError, match="is damaged"):
        Client(a_config(receipt_keys=("name+00000000+" + "A" * 44,)))
