"""The example: a Django project that knew nothing of auditing has its models audited by three lines of settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.models import Record
from auditclient import Client

SICK = """
import errno, os
from django.test import Client

def sick(descriptor):
    raise OSError(errno.EIO, "Input/output error")

os.fdatasync = sick
assert Client().get("/products/77/price?price=2.75").status_code == 204
"""
ROOT = Path(__file__).parent.parent.parent
SHOP = ROOT / "auditclient" / "examples" / "shop"
WORK = """
from django.test import Client
from shop.models import Product

product = Product.objects.create(name="Tea", price="2.50", supplier_token="very-secret")
answer = Client(headers={"X-Request-ID": "request-7"}).get(f"/products/{product.id}/price?price=2.75")
assert answer.status_code == 204, answer.content
Product.objects.get(id=product.id).save()
Product.objects.get(id=product.id).delete()
print(product.id)
"""


@pytest.fixture
def environ(a_client: Callable[..., Client], tmp_path: Path) -> dict[str, str]:
    config = a_client().config
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))}
    return own | {
        "AUDIT_URL": config.url,
        "AUDIT_KEY": config.key,
        "AUDIT_REDIS_URL": config.dlq.redis_url,
        "AUDIT_DLQ_PREFIX": config.dlq.prefix,
        "AUDIT_SPOOL_DIR": str(tmp_path / "shop-spool"),
        "SHOP_DATABASE": str(tmp_path / "shop.sqlite3"),
        "PYTHONPATH": str(ROOT),
    }


def manage(environ: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=SHOP, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_settings_have_three_lines_of_auditing() -> None:
    lines = (SHOP / "settings.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if "auditclient" in line.lower()]) == 3
    assert not any("audit" in path.read_text(encoding="utf-8").partition('"""\n')[2] for path in SHOP.glob("shop/*.py"))


@pytest.mark.slow
def test_what_is_created_changed_and_deleted_is_recorded_with_who_did_it(environ: dict[str, str], writer: Any) -> None:
    manage(environ, "migrate", "--run-syncdb", "--verbosity", "0")
    key = manage(environ, "shell", "--no-imports", "-c", WORK).strip().splitlines()[-1]
    records = Record.objects.filter(writer=writer.name, resource_type="shop.product", resource_id=key)
    created, changed, deleted = records.order_by("source_epoch", "source_seq")
    assert [record.event_type for record in (created, changed, deleted)] == [
        f"shop.product.{what}" for what in ("created", "changed", "deleted")
    ]
    assert changed.event_data["changes"] == {"price": ["2.50", "2.75"]}
    assert (changed.correlation_id, changed.actor_type, str(changed.actor_ip)) == (
        "request-7",
        "anonymous",
        "127.0.0.1",
    )
    assert created.event_data["changes"]["supplier_token"] == [None, "(not shown)"]
    assert (created.correlation_id, created.actor_id) == (key, writer.name)


@pytest.mark.slow
def test_the_command_sends_shows_and_verifies(environ: dict[str, str], service: Any) -> None:
    environ |= {"AUDIT_KEY": service.key}

    def run(*arguments: str, text: str = "") -> tuple[int, str]:
        command = [sys.executable, "-m", "auditclient", *arguments]
        done = subprocess.run(command, env=environ, input=text, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    event = '{"event_type": "shop.stock.counted", "correlation_id": "count-1"}\n'
    status, said = run("send", text=event * 3)
    assert (status, '"stored": 3' in said) == (0, True), said
    status, said = run("send", text=f"{event}no JSON\n")
    assert (status, "line 2: This is no JSON" in said) == (2, True), said
    assert '"waiting": 0' in run("status")[1]
    status, said = run("tail", "--limit", "9")
    assert (status, said.count("shop.stock.counted")) == (0, 4), said
    status, said = run("verify")
    assert status == 0 and '"not_signed": 0' in said and '"verdicts": ["kept"]' in said, said


@pytest.mark.slow
def test_with_durability_of_the_process_no_answer_waits_for_the_disk(environ: dict[str, str]) -> None:
    manage(environ, "migrate", "--run-syncdb", "--verbosity", "0")
    tea = "from shop.models import Product; Product.objects.create(id=77, name='Tea', price='2.50')\n"
    manage(environ | {"AUDIT_DURABILITY": "process"}, "shell", "--no-imports", "-c", tea + SICK)
