"""What a client recorded is a record of the store, once, by whichever tier it went."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.access import api_keys
from audit.models import Manifest, Record
from audit.queue import drain
from auditclient import Client, DLQConfig, kept_files, spool
from bench.load import wait_until
from tests.audit.conftest import Sender, an_event
from tests.auditclient.conftest import Site

Made = Callable[..., Client]


def stored(ids: list[str]) -> int:
    return Record.objects.filter(id__in=ids).count()


def test_the_store_answers_for_each_event_and_signs_it(a_client: Made, writer: Sender) -> None:
    client = a_client()
    receipt = client.record(an_event(), wait_s=60)
    assert receipt.state == "stored"
    record = Record.objects.get(id=receipt.event_id)
    assert (record.writer, record.source_seq, record.source_epoch) == (writer.name, 1, receipt.source_epoch)
    assert (client.counts["receipts"], client.counts["receipts_bad"]) == (1, 0)
    (note,) = kept_files.receipts(client.config.spool_dir)
    assert receipt.event_id in note


def test_at_its_end_it_says_what_it_sent_and_leaves_nothing(a_client: Made, writer: Sender) -> None:
    client = a_client()
    ids = [client.record(an_event()).event_id for _ in range(30)]
    assert client.close() == (True, 0) and stored(ids) == 30
    assert spool.size(client.config.spool_dir) == 0
    assert client.counts["heartbeats"] == client.counts["manifests"] == 1
    epoch = Record.objects.get(id=ids[0]).source_epoch
    manifest = Manifest.objects.get(writer=writer.name, epoch=epoch)
    assert manifest.agrees and manifest.count == 30


@pytest.mark.slow
def test_what_is_refused_is_set_aside_with_the_reason_and_the_rest_is_stored(
    a_client: Made, site: Site, tmp_path: Path
) -> None:
    client = a_client(dlq=DLQConfig(redis_url=f"unix://{tmp_path}/nothing"))
    site.stop()
    good = [client.record(an_event()) for _ in range(3)]
    bad = client.record(an_event(event_outcome="perhaps"))
    taken = client.record(an_event(event_id=good[0].event_id, event_data={"other": "content"}))
    site.start()
    assert client.flush(60).is_done
    assert stored([receipt.event_id for receipt in good]) == 3
    rows = [json.loads(line) for line in kept_files.rejected(client.config.spool_dir)]
    assert {(row["event"]["event_id"], row["event"]["source_seq"]) for row in rows} >= {(bad.event_id, 4)}
    assert any("event_outcome" in row["reason"] for row in rows)
    assert client.counts["rejected"] == len(rows) and taken.source_seq == 5


@pytest.mark.slow
def test_a_site_that_is_not_called_so_is_no_fault_of_the_events(a_client: Made, settings: Any) -> None:
    hosts, settings.ALLOWED_HOSTS = settings.ALLOWED_HOSTS, ["other.example"]
    client = a_client()
    ids = [client.record(an_event()).event_id for _ in range(3)]
    assert client.flush(1) == (False, 3)
    assert list(kept_files.rejected(client.config.spool_dir)) == []
    settings.ALLOWED_HOSTS = hosts
    assert client.flush(60).is_done and stored(ids) == 3


@pytest.mark.slow
def test_what_is_not_valid_is_set_aside_here_also_where_the_store_would_keep_it(
    a_client: Made, site: Site, tmp_path: Path
) -> None:
    lenient = Sender("write")
    lenient.writer.is_lenient = True
    lenient.writer.save()
    api_keys.publish()
    client = a_client(key=lenient.key, dlq=DLQConfig(redis_url=f"unix://{tmp_path}/nothing"))
    site.stop()
    valid = client.record(an_event())
    client.record(an_event(event_outcome="perhaps"))
    site.start()
    assert client.flush(60).is_done and stored([valid.event_id]) == 1
    assert (client.counts["stored"], client.counts["rejected"]) == (1, 1)
    assert len(list(kept_files.rejected(client.config.spool_dir))) == 1


def test_without_the_store_it_parks_in_the_queue_and_a_drain_stores_it(a_client: Made, site: Site) -> None:
    client = a_client()
    site.stop()
    receipt = client.record(an_event(), wait_s=60)
    assert receipt.state == "queued" and client.counts["queued"] == 1
    drain.drain(seconds=20)
    assert stored([receipt.event_id]) == 1
    site.start()
    assert client.close().is_done and spool.size(client.config.spool_dir) == 0


@pytest.mark.slow
def test_without_both_it_waits_in_the_spool_and_the_next_process_sends_it(
    a_client: Made, site: Site, tmp_path: Path
) -> None:
    away = DLQConfig(redis_url=f"unix://{tmp_path}/nothing")
    client = a_client(dlq=away, exit_s=0.1)
    site.stop()
    ids = [client.record(an_event()).event_id for _ in range(20)]
    assert client.close(0.1) == (False, 20)
    site.start()
    another = a_client(dlq=away)
    assert another.record(an_event(), wait_s=60).state == "stored"
    assert another.close().is_done
    assert stored(ids) == 20 and spool.size(client.config.spool_dir) == 0
    assert another.counts["heartbeats"] == 2, "one for the epoch of the process that is gone"


@pytest.mark.slow
def test_a_key_that_is_not_known_keeps_everything_until_it_is(a_client: Made) -> None:
    client = a_client(key="aw_00000000_nobody", exit_s=0.1)
    client.record(an_event())
    wait_until(lambda: str(client._sender.last_fault).startswith("401"), seconds=60, what="the refusal")
    assert client.flush(0.1) == (False, 1) and client.counts["queued"] == 0
    assert client.close(0.1) == (False, 1)
    another = a_client()
    another.record(an_event(), wait_s=60)
    assert another.close().is_done and spool.size(client.config.spool_dir) == 0


@pytest.mark.slow
def test_when_to_come_again_is_the_stores_to_say(a_client: Made) -> None:
    client = a_client()
    client.record(an_event(), wait_s=60)
    assert client.flush(60).is_done
    client._sender._blocked.fail(600.0)
    client.record(an_event())
    assert client.flush(0.3) == (False, 1), "a flush does not ask before"
    client._sender._blocked.succeed()
    assert client.flush(60).is_done


def test_where_the_spool_cannot_be_written_to_an_event_goes_past_it(
    a_client: Made, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = a_client()
    client.config.spool_dir.rename(client.config.spool_dir.with_name("gone"))
    receipt = client.record(an_event())
    assert (receipt.state, receipt.source_seq) == ("stored", 1) and stored([receipt.event_id]) == 1
    site.stop()
    queued = client.record(an_event())
    assert (queued.state, queued.source_seq) == ("queued", 2)
    site.start()
    client.config.spool_dir.mkdir()
    assert client.record(an_event(), wait_s=60).source_seq == 3
