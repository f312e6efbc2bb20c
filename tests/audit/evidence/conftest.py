"""Scenes of evidence: sealed records, bundles of them, and what an insider can sign instead."""

import hashlib
import json
import secrets
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from audit.evidence import build, export, redaction
from audit.evidence.request import Requester
from audit.formats import note
from audit.formats.erasable.rules import Rules
from audit.formats.event import accept
from audit.formats.redaction import Rule
from audit.ingest.record import store
from audit.ledger import reader, seal
from audit.models import Export, RedactionRule
from tests.audit.conftest import an_event
from tests.auditor import verify
from tests.servers import RECEIPT_KEY, SEAL_KEY

WHO = {"user": {"email": "ann@example.org", "a.b": 1}, "hosts": [{"ip": "192.0.2.7"}, {"ip": "192.0.2.7"}], "kept": 1.5}

OFFICER = "officer"

Made = Callable[..., Export]


ME = Requester("tests")


PINNED = ("--key", str(SEAL_KEY), "--receipt-key", str(RECEIPT_KEY))


HOSTILE = '=HYPERLINK("https://evil.example")<script>alert(1)</script>'


def sealed(count: int = 12, *, erasing: Rules | None = None, **changes: Any) -> str:
    """So many sealed records of one correlation, which is named."""
    changes.setdefault("correlation_id", f"rr-{secrets.token_hex(6)}")
    made = [accept(an_event(**changes), writer="tests", erasing=erasing) for _ in range(count)]
    store(made, timeout_s=20)
    seal.Sealer().once()
    return str(changes["correlation_id"])


def made(requester: Requester = ME, **asked: Any) -> Export:
    bundle = build.resume(export.request(requester, **asked))
    assert bundle.state == "ready", bundle.error
    return bundle


def path(bundle: Export) -> Path:
    return Path(django_settings.EXPORT_DIR) / bundle.name


def of_correlation(**asked: Any) -> Export:
    return made(query=f"correlation:{sealed()}", **asked)


def of_range(count: int = 12, **asked: Any) -> Export:
    sealed(count + 3)
    size = reader.signed_head().size
    return made(first=size - count - 1, last=size - 1, **asked)


def leaves(bundle: Export) -> list[int]:
    with zipfile.ZipFile(path(bundle)) as whole:
        names = [volume["records"] for volume in bundle.volumes]
        return [json.loads(line)["leaf_index"] for name in names for line in whole.read(name).splitlines()]


@pytest.fixture
def small_volumes(settings: Any) -> None:
    settings.EXPORT_VOLUME = 5


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def checked(where: Path, *arguments: str) -> tuple[int, str]:
        status = verify.main(["evidence", str(where), *(arguments or PINNED)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


def unpacked(bundle: Export, folder: Path) -> Path:
    with zipfile.ZipFile(path(bundle)) as whole:
        whole.extractall(folder)
    return folder


def signed_anew(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """What an insider with the key of receipts can do: a manifest that fits what he made of the files."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    for name, facts in manifest["files"].items():
        body = (folder / name).read_bytes()
        facts |= {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
    body = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    text = f"{manifest['evidence']}\n{manifest['log']['origin']}\n{manifest['id']}\n{digest}\n"
    (folder / "manifest.txt").write_text(note.join(text, [RECEIPT_KEY.sign(text)]), encoding="utf-8")


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "records-0001.jsonl").read_bytes().splitlines(keepends=True)


def put(folder: Path, lines: list[bytes]) -> None:
    (folder / "records-0001.jsonl").write_bytes(b"".join(lines))


def rule(**changes: Any) -> Rule:
    return Rule(**{"name": f"r-{secrets.token_hex(4)}", "path": "actor_ip", "reason": "GDPR, article 5"} | changes)


@pytest.fixture
def rules() -> Iterator[Callable[..., RedactionRule]]:
    """Makes rules, each for a type of events that no other test sends; they are switched off afterwards."""
    redacted_bundle: list[RedactionRule] = []

    def make(path: str, **changes: Any) -> RedactionRule:
        asked = rule(path=path, **changes)
        saved_rule = RedactionRule(**{name: getattr(asked, name) for name in Rule.__struct_fields__})
        assert redaction.save_rule(saved_rule, by=OFFICER) == "created"
        redacted_bundle.append(saved_rule)
        return saved_rule

    yield make
    for saved_rule in redacted_bundle:
        saved_rule.active = False
        redaction.save_rule(saved_rule, by=OFFICER)


@pytest.fixture(name="made")
def redacted_bundle(rules: Any) -> Made:
    """A bundle of three records under three rules, and of one that no rule concerns."""

    def make(**asked: Any) -> Export:
        kind = f"redaction.t{secrets.token_hex(4)}"
        for place, method in (("data.user.email", "mask"), ("event_data.hosts.*.ip", "digest"), ("actor_ip", "remove")):
            rules(place, event_type=kind, method=method)
        word = sealed(3, event_type=kind, event_data=WHO, actor_ip="192.0.2.7")
        other = an_event(event_type=f"{kind}.other", correlation_id=word, event_data=WHO)
        store([accept(other, writer="tests")], timeout_s=20)
        seal.Sealer().once()
        requester = ME._replace(may_unredacted=True)
        bundle = build.resume(export.request(requester, query=f"correlation:{word}", **asked))
        assert bundle.state == "ready", bundle.error
        return bundle

    return make
