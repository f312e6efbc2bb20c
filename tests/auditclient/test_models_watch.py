"""What is recorded of a model is what changed since it was read, whatever was read of it and wherever it was since."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save
from pytest_django import DjangoCaptureOnCommitCallbacks

from auditclient import Client, Config, DLQConfig, InvalidEvent, events
from auditclient.django import models_watch, recording
from bench.ports import free_port

Changes = Callable[[Callable[[], object]], list[tuple[str, Any]]]


@pytest.fixture
def changes(
    db: None,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> Iterator[Changes]:
    """Groups are audited: return the actions, and what changed by each, that something recorded."""
    nobody = free_port()
    settings.AUDITCLIENT = {"models": ["auth.Group"]}
    config = Config(
        url=f"http://127.0.0.1:{nobody}/api/v1/audit",
        key="nobody",
        dlq=DLQConfig(redis_url=f"redis://127.0.0.1:{nobody}/0"),
        spool_dir=tmp_path / "spool",
        exit_s=0.1,
    )
    with Client(config) as client:
        monkeypatch.setattr(recording, "_client", client)
        models_watch.watch()

        def recorded(act: Callable[[], object]) -> list[tuple[str, Any]]:
            before = len(lines(config.spool_dir))
            with django_capture_on_commit_callbacks(execute=True):
                act()
            events = [json.loads(line[9:]) for line in lines(config.spool_dir)[before:]]
            return [(event["event_action"], event["event_data"]["changes"]) for event in events]

        yield recorded
        for signal in (post_init, post_save, post_delete):
            signal.disconnect(sender=Group, dispatch_uid="auditclient")
        m2m_changed.disconnect(sender=Group.permissions.through, dispatch_uid="auditclient")


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("*.spool")) for line in path.read_bytes().splitlines()]


def test_a_model_is_created_changed_and_deleted_and_nothing_is_said_of_what_stays(changes: Changes) -> None:
    group = Group(name="first")
    assert changes(group.save) == [("created", {"id": [None, group.pk], "name": [None, "first"]})]
    assert changes(group.save) == []
    read = Group.objects.get(pk=group.pk)
    assert changes(read.save) == []
    read.name = "second"
    assert changes(read.save) == [("changed", {"name": ["first", "second"]})]
    assert changes(read.save) == []
    key = read.pk
    assert changes(read.delete) == [("deleted", {"id": [key, None], "name": ["second", None]})]


def test_a_change_that_cannot_be_an_event_is_not_made_either(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group.objects.create(name="first")
    with monkeypatch.context() as small:
        small.setattr(events, "EVENT_BYTES_MAX", 100)
        group.name = "second"
        with pytest.raises(InvalidEvent, match="at most 100"), transaction.atomic():
            group.save()
    assert Group.objects.get(pk=group.pk).name == "first"
    group.name = "third"
    assert changes(group.save) == [("changed", {"name": ["first", "third"]})]


def test_of_a_column_that_was_not_read_the_new_value_alone_is_known(changes: Changes) -> None:
    key = Group.objects.create(name="first").pk
    partly = Group.objects.only("id").get(pk=key)
    for name, read in (("second", partly), ("third", pickle.loads(pickle.dumps(partly)))):
        read.name = name
        assert changes(read.save) == [("changed", {"name": [None, name]})]
    assert changes(Group.objects.only("id").get(pk=key).delete) == [("deleted", {"id": [key, None]})]


def test_an_instance_knows_what_was_read_after_it_was_pickled_and_by_names(changes: Changes) -> None:
    key = Group.objects.create(name="first").pk
    kept = pickle.dumps(Group.objects.get(pk=key))
    read = pickle.loads(kept)
    read.name = "second"
    assert changes(read.save) == [("changed", {"name": ["first", "second"]})]
    older = pickle.loads(kept)
    older.__dict__[models_watch.BEFORE] = ("name", "gone", "id"), ("first", "x", key)
    older.name = "third"
    assert changes(older.save) == [("changed", {"name": ["first", "third"]})]
    unheard = pickle.loads(kept)
    del unheard.__dict__[models_watch.BEFORE]
    assert changes(unheard.save) == [("changed", {"id": [None, key], "name": [None, "first"]})]
    before = pickle.loads(kept)
    del before.__dict__[models_watch.BEFORE]
    before.__dict__[models_watch.OLDER] = {"id": key, "name": "first"}
    before.name = "fourth"
    assert changes(before.save) == [("changed", {"name": ["first", "fourth"]})]
