"""The first fifteen minutes: `make run`, and all that the pages say can be done with what it serves."""

import json
import re
import time
import urllib.request
from typing import Any

import pytest

from tests.commands import named
from tests.commands.conftest import Site

SENT = '"message":"audit event stored"'
SENT_AGAIN = '"message":"audit event was stored before'
# Each command that the pages name: a short form, its exit status, its last line.
MANAGED: list[tuple[str, int, str]] = [
    ("account --day 2020-01-01", 0, r"nothing received"),
    ("archive create archive --from 0 --to 5", 0, r"before anything relies on it$"),
    ("archive check archive", 0, r"^VERIFIED$"),
    ("archive list", 0, r"^0 to 4 "),
    ("backup backups", 0, r"log entries signed$"),
    ("bundle --correlation order-1", 0, r'^\{"records":\d+,"sha256":"'),
    ("check --database default", 0, r"System check identified no issues"),
    ("coverage rebuild", 0, r"^No hour differed\.$"),
    ("dlq stats", 0, r"^\}$"),
    ("dlq check", 0, r"^balanced$"),
    ("dlq pause", 0, r"paused; parking goes on"),
    ("dlq resume", 0, r"^Draining goes on\.$"),
    ("dlq retry --all --dry-run", 0, r"nothing was done \(--dry-run\)$"),
    ("drain_dlq --limit 1", 0, r"^stored \d+, .* remaining \d+"),
    ("erasure list", 0, r"^No erasure was requested\.$"),
    ("expectations list", 0, r"awaited \d+, open \d+, met \d+"),
    ("expectations dump --pack remediation", 0, r"^\}$"),
    ("export --query correlation:order-1", 0, r"/evidence-[0-9a-f-]+\.zip$"),
    ("keys", 0, r"^writer demo .* sends "),
    ("schema list", 0, r"^No schema is registered"),
    ("stream list", 0, r"^STREAMS_FILE names no target"),
    ("stream day 2020-01-01 lake", 1, r"^$"),  # no record was sealed then, says standard error
    ("log show", 0, r"^No cross-link: the log goes on"),
    ("migrate", 0, r"No migrations to apply\.$"),
    ("purge plan", 0, r"^Nothing is requested: give a --reason for that\.$"),
    ("receiptkey list", 0, r"signs now$"),
    ("receipts verify /dev/null", 4, r"^There is no receipt here"),
    ("reconcile", 3, r"2 numbered events never came"),
    ("refill --dry-run", 0, r" kept: .* refused$|^ +[0-9,]+ of "),
    ("restore check", 0, r"^nothing is known to be lacking$"),
    ("report --from {day} --to {day} --pack soc2 --output report.json", 0, r"report\.json"),
    ("seal", 0, r"records sealed; checkpoint \d+"),
    ("sealkey list", 0, r"signs now$"),
    ("statement actor:alice", 0, r"^— localhost/audit/receipts "),
    ("verify --correlation order-1", 0, r"^VERIFIED$"),
    ("witness --state witness --show-key", 0, r"^witness\.local\+"),
    ("writer create payments --scopes write", 0, r"^aw_"),
    (
        "import cloudtrail tests/data/field/aws-cloudtrail.jsonl --writer workflowexecution",
        0,
        r"^ *in event_data alone, for ",
    ),
    ("writer list", 0, r"  (write|write,read|made .*valid)$"),
    ("writer rotate payments", 0, r"^aw_"),
    ("writer revoke payments", 0, r"^2 keys of payments revoked"),
    ("createsuperuser --noinput --username first --email first@example.org", 0, r"^Superuser created"),
]
NOT_RUN = {"shell": "Django's own, and it waits for a person", "worker": "`make run` runs it, with `seal --follow`"}


def test_every_command_is_run_or_said_why_not() -> None:
    run = {text.split()[0] for text, _, _ in MANAGED}
    assert {words[0] for words in named.managed()} == run | NOT_RUN.keys()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_that_the_pages_say_of_a_site_of_ones_own_works(site: Site) -> None:
    url, key = _the_greeting(site)
    _the_readme(site, url, key)
    _the_clients(site, url, key)
    _the_commands(site)
    _verify_py(site)
    _more_records(site)
    assert "stopping" in site.stop()
    assert not (site.clone.folder / ".local" / "postgres" / "postmaster.pid").exists()


def _the_greeting(site: Site) -> tuple[str, str]:
    """It says what runs, who may log in, and two requests that work as they are; return address and key."""
    said = site.greeting
    for part in (r"servers +PostgreSQL 18\.\d+, bundled", r"(Redis|Valkey) \d+\.\d+\.\d+, ", "incomplete on purpose"):
        assert re.search(part, said), said
    for kind in ("log key   localhost/audit", "receipts  localhost/audit/receipts"):
        assert re.search(rf"^{re.escape(kind)}\+[0-9a-f]{{8}}\+\S+$", said, re.MULTILINE), said
    assert len(re.findall(r"^login +.* / \S+   \w+", said, re.MULTILINE)) == 4
    send, read = re.findall(r"^  (curl (?:.*\\\n)?.*)$", said, re.MULTILINE)
    assert SENT in site.clone.run("sh", "-c", send).stdout
    assert SENT_AGAIN in site.clone.run("sh", "-c", send).stdout
    assert '"writer":"demo"' in site.clone.run("sh", "-c", read).stdout
    url = re.search(r"curl '?(http\S+/events)", read)  # of the site, which answers all calls; events are sent to ingest
    key = re.search(r"X-API-Key: (\S+)'", send)
    assert url and key
    return url[1], key[1]


def _the_readme(site: Site, url: str, key: str) -> None:
    """Its request, sent twice, read back; then its outage."""
    first, outage = named.blocks("README.md", "sh")
    first, changed = re.subn(r"^URL=.*$", f"URL={url} KEY={key}", first, flags=re.MULTILINE)
    assert changed == 1
    printed = site.clone.run("bash", "-c", f"{first}\nsend\n{outage}\necho; echo ID $ID").stdout
    assert printed.count(SENT) == 1 and printed.count(SENT_AGAIN) == 1, printed
    assert '"state":"parked"' in printed, printed
    event_id = printed.split()[-1]
    # Who stored it, the drain or PostgreSQL itself, which had the write before it was stopped, is not decided.
    assert _until_sealed(f"{url}/{event_id}", key)["stored_at"]


def _until_sealed(url: str, key: str) -> Any:
    """The record, once the drain and the sealer are through."""
    for _ in range(600):
        with urllib.request.urlopen(urllib.request.Request(url, headers={"X-API-Key": key}), timeout=30) as answer:
            found = json.load(answer)
        if found["state"] == "sealed":
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def _the_clients(site: Site, url: str, key: str) -> None:
    """The examples for services, as they are pasted."""
    env = {"AUDIT_URL": url.removesuffix("/events"), "AUDIT_KEY": key}
    (shell,) = named.blocks("docs/connect.md", "sh")
    printed = site.clone.run("bash", "-c", shell, env=env).stdout
    assert SENT in printed and '"correlation_id":"example-4711"' in printed, printed
    (program,) = named.blocks("docs/connect.md", "python")
    beat = 'print(send("heartbeats", {"source_seq": 42, "source_epoch": "pay-7f9c"}))'
    assert beat[6:-1] in (named.ROOT / "docs" / "connect.md").read_text(encoding="utf-8")
    printed = site.clone.run(".venv/bin/python", "-", given=f"{program}\n{beat}\n", env=env).stdout
    assert printed.splitlines()[0] == "stored", printed
    assert "'missing': []" in printed, printed
    wrong = site.clone.run(".venv/bin/python", "-", given=program, env=env | {"AUDIT_KEY": "aw_wrong"})
    assert "Refused: 401" in wrong.stdout, wrong.stdout


def _the_commands(site: Site) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    commands = [text.format(day=day).split() for text, _, _ in MANAGED]
    env = {"DJANGO_SUPERUSER_PASSWORD": "only-for-this-test-7x"}
    done = site.clone.run(".venv/bin/python", "-m", "tests.commands.many", given=json.dumps(commands), env=env)
    assert done.returncode == 0, done.stdout[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    for (text, status, last), (ended, said) in zip(MANAGED, results, strict=True):
        assert ended == status and re.search(last, said), f"{text}: {ended} {said}\n{done.stdout}"


def _verify_py(site: Site) -> None:
    """A bundle that a command made, checked by the one file for an auditor's laptop."""
    made = site.clone.run(".venv/bin/python", "manage.py", "bundle", "--correlation", "order-1")
    assert made.returncode == 0, made.stdout
    lines = [line for line in made.stdout.splitlines() if line.startswith("{")]
    (site.clone.folder / "RECORD.bundle.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    log_key = re.search(r"^log key +(\S+)$", site.greeting, re.MULTILINE)
    assert log_key
    checked = site.clone.run(".venv/bin/python", "verify.py", "RECORD.bundle.jsonl", "--key", log_key[1])
    assert checked.returncode == 0 and "VERIFIED" in checked.stdout, checked.stdout


def _more_records(site: Site) -> None:
    done = site.clone.make("seed", "RECORDS=200")
    assert done.returncode == 0, done.stdout
    assert re.match(r"200 records in \d+ s$", done.stdout.splitlines()[-1]), done.stdout
