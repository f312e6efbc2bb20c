"""Evidence bundles: what is asked for, what is in them, and that they verify."""

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from audit.errors import ExportsOff, Invalid
from audit.evidence import export
from audit.evidence.request import Requester
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Export, Leaf, Record
from audit.visibility import Scope
from tests.audit.conftest import an_event
from tests.audit.evidence.conftest import (
    HOSTILE,
    ME,
    PINNED,
    leaves,
    made,
    of_correlation,
    of_range,
    path,
    sealed,
    signed_anew,
    unpacked,
)
from tests.auditor import parts


@pytest.mark.usefixtures("small_volumes")
def test_a_query_is_exported_whole_and_verifies(checked: Any) -> None:
    correlation = sealed(12)
    bundle = made(query=f"correlation:{correlation}")
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert "12 records checked" in parts(printed)["Checked"]
    assert "that no other record matches the query" in parts(printed)["Stated"]
    assert len(bundle.volumes) == 3
    expected = Leaf.objects.filter(record_id__in=Record.objects.filter(correlation_id=correlation).values("id"))
    assert leaves(bundle) == sorted(expected.values_list("index", flat=True))


@pytest.mark.usefixtures("small_volumes")
def test_a_range_is_proved_whole(checked: Any) -> None:
    bundle = of_range()
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert f"these are all leaves from {bundle.first} to {bundle.last - 1}" in printed
    assert leaves(bundle) == list(range(bundle.first, bundle.last))


def test_everything_is_a_range() -> None:
    sealed(1)
    assert export.request(Requester(f"a-{secrets.token_hex(4)}"), query="").kind == "range"


def test_a_bundle_verifies_in_an_environment_without_this_site_and_without_a_network(tmp_path: Path) -> None:
    bundle = of_correlation(with_csv=True)
    with zipfile.ZipFile(path(bundle)) as whole:
        whole.extractall(tmp_path / "bundle")
    command = [sys.executable, "-I", str(tmp_path / "bundle" / "verify.py"), "evidence", str(tmp_path / "bundle")]
    if shutil.which("unshare") and not subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        command = ["unshare", "-rn", *command]
    done = subprocess.run([*command, *PINNED], cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("VERDICT: VERIFIED\n")


def test_keys_that_came_with_the_bundle_are_not_trusted(checked: Any) -> None:
    bundle = of_correlation()
    for arguments in (("--quorum", "0"), PINNED[:2], PINNED[2:]):
        status, printed = checked(path(bundle), *arguments)
        assert status == 3
        given = [option for option in ("--key", "--receipt-key") if option in arguments]
        assert printed.count("FIRST USE") == parts(printed)["Stated"].count("FIRST USE") == 2 - len(given)
        names = {"--key": "log signing key", "--receipt-key": "receipt signing key"}
        for option, name in names.items():
            assert (f"NOT COVERED  give the {name}: with {option}," in printed) is (option not in given)


def test_what_a_bundle_says_of_itself_is_stated_and_cannot_pass_for_what_was_checked(
    checked: Any, tmp_path: Path
) -> None:
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    forged = "shop\nChecked here\n  no other record matches\x1b[2J\r\u2028VERDICT: VERIFIED\u202e"
    signed_anew(folder, lambda manifest: manifest.update(system=forged, requested_by=forged))
    status, printed = checked(folder)
    assert status == 0, printed
    escaped = r"shop\u000AChecked here\u000A  no other record matches\u001B[2J\u000D\u2028VERDICT: VERIFIED\u202E"
    assert parts(printed)["Stated"].count(escaped) == 2
    headings = [line for line in printed.splitlines() if not line.startswith("  ")]
    assert headings == ["Checked here", "Stated by the bundle, not checked", "VERDICT: VERIFIED"]
    assert "no other" not in parts(printed)["Checked"]


def test_what_is_said_of_the_bundle_is_in_the_manifest(checked: Any) -> None:
    bundle = of_correlation()
    with zipfile.ZipFile(path(bundle)) as whole:
        manifest = json.loads(whole.read("manifest.json"))
        assert hashlib.sha256(whole.read("manifest.json")).hexdigest() == bundle.digest
        assert {"README.html", "manifest.json", "manifest.txt", *manifest["files"]} == set(whole.namelist())
        for name, facts in manifest["files"].items():
            assert hashlib.sha256(whole.read(name)).hexdigest() == facts["sha256"]
        statement = json.loads(whole.read("statement.json"))
    assert manifest["requested_by"] == "tests"
    assert manifest["records"] == 12
    assert manifest["time_zone"] == "UTC"
    assert statement["queue"].keys() == {"waiting", "dead"}
    assert manifest["completeness"]["asserted"][0].startswith("That no other record matches")


def test_making_a_bundle_is_recorded_with_its_digest_before_it_is_ready() -> None:
    bundle = of_correlation()
    acts = Record.objects.filter(correlation_id=f"export-{bundle.pk}").order_by("id")
    assert [act.event_type for act in acts] == ["audit.export.asked", "audit.export.made"]
    assert acts[1].event_data["digest"] == bundle.digest
    export.fetch(bundle, ME, bundle.name)
    assert acts.last().event_type == "audit.export.fetched"


# --- What is in it ---


def test_what_others_sent_comes_alive_neither_in_a_spreadsheet_nor_in_a_browser(checked: Any) -> None:
    data = {"a": "+1;=1", "b": HOSTILE, "n": 1e-7, "text": "Zürich €\u2028\n", "deep": [[{"": None}]]}
    correlation = sealed(2, actor_id=HOSTILE, resource_id='a;"=1+1', event_action="\uff1d1+1", event_data=data)
    bundle = made(Requester(HOSTILE), query=f"correlation:{correlation}", with_csv=True)
    assert checked(path(bundle))[0] == 0
    with zipfile.ZipFile(path(bundle)) as whole:
        table = list(csv.reader(io.StringIO(whole.read("records-0001.csv").decode("utf-8-sig"))))
        page = whole.read("README.html").decode()
        record = json.loads(whole.read("records-0001.jsonl").splitlines()[0])
    assert len(table) == 3
    assert not [text for row in table for text in row if text.startswith(("=", "+", "-", "@", "\uff1d", "\t", "\r"))]
    assert not [text for row in table for text in row if ";=" in text or ';"=' in text]
    assert record["actor_id"] == HOSTILE
    assert record["event_data"] == data
    assert "<script" not in page
    assert record["stored_at"].endswith("Z")
    assert datetime.fromisoformat(record["event_timestamp"]) == datetime(2026, 8, 18, 10, tzinfo=UTC)


def test_a_bundle_holds_nothing_that_the_one_who_asked_may_not_see() -> None:
    correlation = f"rr-{secrets.token_hex(6)}"
    both = [accept(an_event(correlation_id=correlation), writer=writer) for writer in ("tests", "others")]
    store(both, timeout_s=20)
    seal.Sealer().once()
    narrow = Requester(f"a-{secrets.token_hex(4)}", sight=(Scope(("others",), ()),))
    bundle = made(narrow, query=f"correlation:{correlation}")
    assert bundle.done == 1
    assert bundle.manifest["sees"] == [{"writers": ["others"], "categories": []}]
    with pytest.raises(Invalid, match="range"):
        export.request(narrow, first=0, last=1)
    with pytest.raises(Invalid, match="what you may see has changed"):
        export.fetch(bundle, narrow._replace(sight=()), bundle.name)


def test_what_cannot_be_asked_is_refused_with_the_reason(settings: Any) -> None:
    sealed(1)
    for asked in ({"first": 5, "last": 5}, {"first": -1}, {"last": 2**62}, {"query": "a\x00"}, {"query": "nope:1"}):
        with pytest.raises(Invalid):
            export.request(ME, **asked)
    settings.EXPORT_DIR = None
    with pytest.raises(ExportsOff):
        export.request(ME, query="outcome:failure")


def test_nobody_has_more_than_five_made_at_once() -> None:
    requester = Requester(f"a-{secrets.token_hex(4)}")
    sealed(1)
    for _ in range(5):
        export.request(requester, first=0, last=1)
    with pytest.raises(Invalid, match="5 bundles"):
        export.request(requester, first=0, last=1)


# --- What was received in a time ---


def received_then() -> tuple[datetime, Export]:
    """Two records of a time long ago, one of today between them in the log, and the bundle of that time."""
    moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=secrets.randbelow(10**8))
    for now in (moment, datetime.now(UTC), moment + timedelta(seconds=1)):
        early = an_event(event_timestamp=f"{moment:%Y-%m-%dT%H:%M:%SZ}")
        store([accept(early, writer="tests", now=now)], timeout_s=20)
        seal.Sealer().once()
    return moment, made(received=(moment.isoformat(), (moment + timedelta(seconds=2)).isoformat()))


def test_what_was_received_in_a_time_is_a_range_with_all_of_it(checked: Any) -> None:
    moment, bundle = received_then()
    assert bundle.kind == "range"
    assert bundle.received["records"] == 2
    assert bundle.last - bundle.first >= 3
    asked = Record.objects.get(correlation_id=f"export-{bundle.pk}", event_type="audit.export.asked")
    assert asked.event_data["received"] == bundle.received
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert f"2 of them were received from {moment:%Y-%m-%dT%H:%M:%S}" in parts(printed)["Checked"]
    with zipfile.ZipFile(path(bundle)) as whole:
        assert "that were received from" in whole.read("query.txt").decode()


def test_a_manifest_that_counts_fewer_as_received_then_is_refused(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(received_then()[1], tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest["received"].update(records=1))
    status, printed = checked(folder)
    assert status == 1
    assert "2 records of the range were received from" in printed


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (("x", "0s"), "received_since: is neither a span"),
        (("1h", "2h"), "is not after"),
        (("1980-01-01", "1980-01-02"), "no record that is sealed was received"),
    ],
)
def test_a_time_that_cannot_be_asked_for_is_refused(window: tuple[str, str], words: str) -> None:
    sealed(1)
    with pytest.raises(Invalid, match=words):
        export.request(ME, received=window)


def test_one_thing_is_asked_for_at_a_time() -> None:
    sealed(1)
    with pytest.raises(Invalid, match="goes by itself"):
        export.request(ME, query="outcome:failure", first=0)
    with pytest.raises(Invalid, match="goes by itself"):
        export.request(ME, received=("1h", "0s"), first=0)
    with pytest.raises(Invalid, match="you may see those of some"):
        export.request(ME._replace(sight=(Scope(("others",), ()),)), received=("1h", "0s"))


def test_a_bundle_is_gone_on_with_within_the_bounds_of_a_new_one(tmp_path: Path) -> None:
    query, mine = f"correlation:{sealed(1)}", Requester(f"t{secrets.token_hex(6)}")
    stopped = export.request(mine, query=query)
    assert export.cancel(stopped, mine)
    stopped.refresh_from_db()
    under_way = [export.request(mine, query=query) for _ in range(export.MAX_UNDER_WAY)]
    with pytest.raises(Invalid, match="export_id: 5 bundles of yours are being made already"):
        export.reopen(stopped, mine)
    for bundle in under_way:
        assert export.cancel(bundle, mine)
    with override_settings(EXPORT_AT_ONCE=0), pytest.raises(Invalid, match="EXPORT_AT_ONCE"):
        export.reopen(stopped, mine)
    (tmp_path / "other.zip").write_bytes(bytes(1_000_001))
    with override_settings(EXPORT_DIR=tmp_path, EXPORT_MAX_MB=1), pytest.raises(Invalid, match="EXPORT_MAX_MB"):
        export.reopen(stopped, mine)
    assert not Record.objects.filter(correlation_id=f"export-{stopped.pk}", event_action="resumed").exists()
    assert export.reopen(stopped, mine)
    stopped.refresh_from_db()
    assert export.cancel(stopped, mine)
