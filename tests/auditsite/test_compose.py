"""docker-compose.yml starts what `make run` starts, with the same settings, and gives nobody more than they need."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditsite import hand_out, roles, run
from auditsite.front import __main__ as front

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS = re.findall(r"^\| `([A-Z0-9_]+)`( \*)?", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
OURS = {name for name, service in SERVICES.items() if "auditsite" in service["image"]}
LONG_RUNNING = OURS - {"setup", "migrate", "keys", "restore"}
# Root, for a moment and without a network.
OF_ROOT = {"setup", "restore"}
# What no operator sets, or not so.
NOT_PASSED = {
    "DEBUG": "never in production",
    "ROLE": "the command of the service sets it",
    "STATIC_ROOT": "the image has the files",
    "STATIC_COMPRESSED": "the same",
    **dict.fromkeys(("SEAL_KEY", "SEAL_KEY_FILE", "RECEIPT_KEY", "RECEIPT_KEY_FILE"), "keys go by directory"),
    **dict.fromkeys(("SEAL_PUBLIC_KEYS", "SEAL_PUBLIC_KEYS_FILE"), "the same"),
    **dict.fromkeys(("RECEIPT_PUBLIC_KEYS", "RECEIPT_PUBLIC_KEYS_FILE"), "the same"),
    **dict.fromkeys(
        ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"), "given to the command that archives, and to no service"
    ),
}
# Those that one service or two need, and the others must not have.
OF_SOME = {
    "STREAMS_FILE": {"stream"},
    "DATABASE_BACKUP_URL": {"migrate", "keys", "backup"},
    "SEAL_KEY_DIR": {"migrate", "keys", "worker", "seal"},
    "SEAL_ANCHOR_FILE": {"migrate", "keys", "worker", "seal", "backup"},
    "RECEIPT_KEY_DIR": {"migrate", "keys", "web", "ingest", "worker", "backup"},
}
# What compose needs to know of itself, and no setting of the site.
OF_COMPOSE = {"PROMETHEUS_MULTIPROC_DIR", "SERVER_NAME", "LOG_ORIGIN", "DATABASE_ADMIN_URL"}
# OpenTelemetry's own, which its SDK reads.
OF_OTHERS = {name for name in COMPOSE["x-settings"] if name.startswith("OTEL_")}


def settings_of(service: str) -> set[str]:
    """The names of the settings that a service has, those from files by the name of the setting itself."""
    from_files = {name for name, mark in SETTINGS if mark} | {"DATABASE_ADMIN_URL"}
    names = set(SERVICES[service]["environment"])
    return {name.removesuffix("_FILE") if name.removesuffix("_FILE") in from_files else name for name in names}


def as_run(command: list[str]) -> list[Any]:
    """A command without what differs by place: the Python, the host and the port."""
    words = command[1:]
    if words[:2] != ["-m", "auditsite.front"]:
        return words
    options = front.parser().parse_args(words[2:])
    return ["front", options.role, options.workers, options.threads, options.application]


ALWAYS = ("web", "ingest", "worker", "drain", "seal")


@pytest.mark.parametrize(("file", "wanted"), [("", ALWAYS), ("streams.toml", (*ALWAYS, "stream"))])
def test_it_starts_the_commands_that_make_run_starts(
    file: str, wanted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_FILE", file)
    here = [as_run(service.command) for service in run._services(8000, 8001)]
    assert here == [as_run(SERVICES[name]["command"]) for name in wanted]
    assert {*ALWAYS, "stream", "backup"} == LONG_RUNNING


def test_the_streamer_alone_has_to_be_asked_for() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert {name for name, asked in profiles.items() if asked} == {"keys", "restore", "stream"}
    assert profiles["stream"] == ["stream"]


def test_it_prepares_what_make_run_prepares() -> None:
    script = SERVICES["migrate"]["command"][-1]
    commands = re.findall(r"(?:manage\.py|auditsite\.several \\\n|--) +([a-z]+)\b", script)
    wanted = [command[0] for _, *commands in run.PREPARATIONS for command in commands]
    # The image has the static files, and nobody wants sample data in production.
    assert [name for name in commands if name in wanted] == [
        name for name in wanted if name not in ("collectstatic", "loadsample")
    ]
    assert script.startswith("python -m auditsite.roles\n")
    assert "manage.py collectstatic" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("service", sorted(LONG_RUNNING | {"migrate", "keys"}))
def test_it_passes_every_setting(service: str) -> None:
    everywhere = {name for name, _ in SETTINGS} - NOT_PASSED.keys() - OF_SOME.keys()
    wanted = everywhere | {name for name, services in OF_SOME.items() if service in services}
    assert settings_of(service) - OF_COMPOSE - OF_OTHERS == wanted
    assert settings_of(service) >= OF_OTHERS


def test_what_stands_in_the_environment_of_its_caller_is_passed_on() -> None:
    names = {name for name, value in SERVICES["web"]["environment"].items() if value is None}
    assert len(names) > 70
    assert {"WRITER_RATE", "DLQ_ALERT_WEBHOOK", "EMAIL_URL", "SEAL_WITNESSES", "LOGIN_MFA", "HSTS_SECONDS"} <= names


def test_what_make_run_sets_is_set() -> None:
    set_by_run = set(re.findall(r'"([A-Z_]+)":', Path(run.__file__).read_text(encoding="utf-8"))) | roles.ROLES.keys()
    by_directory = {f"{key}_FILE" for key in ("SEAL_KEY", "SEAL_PUBLIC_KEYS", "RECEIPT_KEY", "RECEIPT_PUBLIC_KEYS")}
    wanted = {re.sub("_FILE$", "_DIR", name) if name in by_directory else name for name in set_by_run}
    assert wanted - {"STATIC_COMPRESSED"} <= settings_of("worker") | {"DATABASE_BACKUP_URL"}


def mounts(service: str) -> dict[str, str]:
    """What is mounted, by the path in the container."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[service]["volumes"]}


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - OF_ROOT))
def test_each_is_handed_what_it_reads_and_nothing_else(service: str) -> None:
    holder = {"ingest": "web", "keys": "migrate"}.get(service, service)
    assert mounts(service)["/run/secrets"] == f"secrets_{holder}"
    assert mounts("setup")[f"/handed/{holder}"] == f"secrets_{holder}"
    given = set(hand_out.HOLDERS[holder].secrets)
    text = yaml.dump(SERVICES[service])
    read = {name.split("/")[-1] for name in re.findall(r"/run/secrets/\w+", text)}
    if holder == "stream":  # what lies in ./secrets/streams
        read -= {"streams"}
    if holder == "proxy":
        read = set(re.findall(r"/run/secrets/(\w+)", (ROOT / "deploy/nginx/audit.conf.template").read_text("utf-8")))
    elif holder in ("redis", "cache"):  # start.sh reads those of the rules
        rules = "queue.acl" if holder == "redis" else "cache.acl"
        users = re.findall(r"^user (\w+)", (ROOT / "deploy" / "redis" / rules).read_text("utf-8"), re.MULTILINE)
        read = {f"redis_{user}_url" for user in users if user not in ("default", "health")}
    elif service == "keys":
        given -= {"redis_migrate_url"}
    assert read == given


def test_what_is_restored_goes_into_the_volumes_of_those_who_use_it() -> None:
    there, volumes = mounts("restore"), SERVICES["restore"]["volumes"]
    assert there["/backups"] == mounts("backup")["/backups"] and "backups:/backups:ro" in volumes
    assert there["/postgres"] == mounts("postgres")["/var/lib/postgresql"]
    assert there["/redis"] == mounts("redis")["/data"]
    assert there["/spool"] == mounts("drain")["/spool"] and there["/anchor"] == mounts("seal")["/anchor"]
    assert "/wal" in mounts("postgres"), "from where it recovers"


def test_private_keys_are_where_they_sign() -> None:
    have = {name: {volume for volume in mounts(name).values() if volume.startswith("key_")} for name in LONG_RUNNING}
    assert {name for name, volumes in have.items() if "key_log" in volumes} == OF_SOME["SEAL_KEY_DIR"] & LONG_RUNNING
    assert {name for name, volumes in have.items() if "key_receipt" in volumes} == (
        OF_SOME["RECEIPT_KEY_DIR"] & LONG_RUNNING
    )
    for name in LONG_RUNNING:
        keys = [volume for volume in SERVICES[name]["volumes"] if volume.startswith("key")]
        assert keys and all(volume.endswith(":ro") for volume in keys), name


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_has_bounds_and_no_rights_that_it_does_not_need(service: str) -> None:
    facts = SERVICES[service]
    assert facts["read_only"] is True and facts["cap_drop"] == ["ALL"]
    assert facts["security_opt"] == ["no-new-privileges:true"]
    assert facts["mem_limit"] and facts["pids_limit"]
    assert facts["logging"]["options"].keys() == {"max-size", "max-file"}
    if service in OF_ROOT:
        assert facts["network_mode"] == "none" and set(facts["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER"}
    else:
        assert "cap_add" not in facts
        # Of our own image the user is its own.
        assert facts.get("user", "10001:10001") in {"10001:10001", "999:999", "101:101"}


def test_the_users_are_those_that_secrets_are_handed_to() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {hand_out.APP}:{hand_out.APP}" in dockerfile and f"--uid {hand_out.APP} " in dockerfile
    for name, holder in hand_out.HOLDERS.items():
        user = SERVICES[name].get("user", f"{hand_out.APP}:{hand_out.APP}")
        assert user.split(":")[0] == str(holder.user), name


# What each server reads at its start, and no later.
READ_AT_START = {
    "postgres": ("postgres/pg_hba.conf",),
    "redis": ("redis/queue.acl", "redis/start.sh"),
    "cache": ("redis/cache.acl", "redis/start.sh"),
    "proxy": ("nginx/audit.conf.template",),
}


@pytest.mark.parametrize("service", READ_AT_START)
def test_a_server_is_started_anew_where_the_files_that_it_reads_have_changed(service: str) -> None:
    files = b"".join((ROOT / "deploy" / name).read_bytes() for name in READ_AT_START[service])
    # Compose knows of a mount that it is the same, not what is in it.
    wanted = hashlib.sha256(files).hexdigest()[:16]
    assert str(SERVICES[service]["labels"]["auditsite.files"]) == wanted, "put this digest into docker-compose.yml"


@pytest.mark.parametrize("service", ["postgres", "redis", "cache"])
def test_servers_are_reached_from_inside_alone(service: str) -> None:
    assert SERVICES[service]["networks"] == ["data"] and "ports" not in SERVICES[service]
    assert COMPOSE["networks"]["data"] == {"internal": True}
