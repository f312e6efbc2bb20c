"""What is recorded of a model is what changed since it was read, whatever was read of it and wherever it was since."""

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save
from pytest_django import DjangoCaptureOnCommitCallbacks

from auditclient import Client, Config, DLQConfig, InvalidEvent, events
from auditclient.django import models_watch, recording
from bench.ports import free_port

Changes = Callable[[Callable[[], object]], list[tuple[str, Any]]]


@pytest.fixture
def changes_committed(
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> Iterator[Changes]:
    """Groups and permissions are audited: return the actions, and what changed by each, that something recorded."""
    nobody = free_port()
    settings.AUDITCLIENT = {"models": ["auth.Group", "auth.Permission"]}
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
            for model in (Group, Permission):
                signal.disconnect(sender=model, dispatch_uid="auditclient")
        m2m_changed.disconnect(sender=Group.permissions.through, dispatch_uid="auditclient")


@pytest.fixture
def changes(db: None, changes_committed: Changes) -> Changes:
    """The same in a transaction of the test, which is rolled back."""
    return changes_committed


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("*.spool")) for line in path.read_bytes().splitlines()]


@pytest.fixture
def committed(changes_committed: Changes) -> Iterator[Group]:
    """A group outside of any transaction."""
    group = Group.objects.create(name="first")
    yield group
    Group.objects.filter(pk=group.pk).delete()


class Undone(Exception):
    """What ends a transaction that is to be rolled back."""


def renamed(group: Group, name: str) -> None:
    group.name = name
    group.save()


def rolled_back(act: Callable[[], object]) -> None:
    with pytest.raises(Undone), transaction.atomic():
        act()
        raise Undone


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


def test_a_save_of_some_fields_says_what_it_wrote_and_the_next_one_the_rest(changes: Changes) -> None:
    kind = ContentType.objects.get_for_model(Group)
    permission = Permission.objects.create(name="A", codename="a", content_type=kind)
    permission.name, permission.codename = "B", "b"
    assert changes(lambda: permission.save(update_fields=["name"])) == [("changed", {"name": ["A", "B"]})]
    assert changes(lambda: permission.save(update_fields=["name"])) == []
    assert changes(permission.save) == [("changed", {"codename": ["a", "b"]})]
    assert changes(permission.save) == []


@pytest.mark.parametrize("written", ["content_type", "content_type_id"])
def test_a_foreign_key_is_saved_by_either_of_its_names(changes: Changes, written: str) -> None:
    first, second = (ContentType.objects.get_for_model(model) for model in (Group, Permission))
    permission = Permission.objects.create(name="A", codename="a", content_type=first)
    permission.name, permission.content_type = "B", second
    changed = changes(lambda: permission.save(update_fields=[written]))
    assert changed == [("changed", {"content_type_id": [first.pk, second.pk]})]
    assert changes(permission.save) == [("changed", {"name": ["A", "B"]})]


def test_what_was_rolled_back_is_recorded_when_it_is_saved_again(changes: Changes) -> None:
    group = Group.objects.create(name="first")
    for _ in range(2):
        assert changes(lambda: rolled_back(lambda: renamed(group, "second"))) == []
    assert changes(group.save) == [("changed", {"name": ["first", "second"]})]
    assert changes(group.save) == []


def test_what_a_whole_transaction_rolled_back_is_recorded_and_what_it_committed_is_not_again(
    changes_committed: Changes, committed: Group
) -> None:
    changes, group = changes_committed, committed
    assert changes(lambda: rolled_back(lambda: renamed(group, "second"))) == []

    def again() -> None:
        with transaction.atomic():
            group.save()

    assert changes(again) == [("changed", {"name": ["first", "second"]})]
    assert changes(again) == []
    assert changes(lambda: rolled_back(lambda: renamed(group, "third"))) == []
    # There is no transaction here.
    assert changes(group.save) == [("changed", {"name": ["second", "third"]})]
    assert changes(again) == []


def test_two_saves_in_a_transaction_are_two_changes_each_from_the_one_before(changes: Changes) -> None:
    group = Group.objects.create(name="first")

    def both() -> None:
        with transaction.atomic():
            renamed(group, "second")
            renamed(group, "third")

    both_changes = [("changed", {"name": ["first", "second"]}), ("changed", {"name": ["second", "third"]})]
    assert changes(lambda: rolled_back(both)) == []
    assert changes(both) == both_changes
    assert changes(group.save) == []


def test_a_savepoint_that_is_rolled_back_takes_its_own_saves_with_it_and_no_other(changes: Changes) -> None:
    group = Group.objects.create(name="first")

    def twice(*names: str) -> None:
        for name in names:
            renamed(group, name)

    def act() -> None:
        with transaction.atomic():
            renamed(group, "second")
            with transaction.atomic():
                renamed(group, "third")
            rolled_back(lambda: twice("fourth", "fifth"))
            group.save()

    assert changes(lambda: rolled_back(act)) == []
    names = ["first", "second", "third", "fifth"]
    expected = [("changed", {"name": [old, new]}) for old, new in pairwise(names)]
    assert changes(act) == expected
    assert changes(group.save) == []


def test_what_was_created_and_rolled_back_is_created_when_it_is_saved_again(changes: Changes) -> None:
    group = Group(name="first")
    assert changes(lambda: rolled_back(group.save)) == []
    assert changes(group.save) == [("created", {"id": [None, group.pk], "name": [None, "first"]})]


def test_a_copy_that_is_made_in_a_transaction_shares_what_becomes_of_it(changes: Changes) -> None:
    group = Group.objects.create(name="first")
    copies: list[Group] = []

    def act() -> None:
        renamed(group, "second")
        copies[:] = copy.copy(group), copy.deepcopy(group)

    changed = [("changed", {"name": ["first", "second"]})]
    rolled_back(act)
    for each in copies:
        assert changes(each.save) == changed
    assert changes(act) == changed
    for each in copies:
        assert changes(each.save) == []


def test_what_is_pickled_knows_what_held_when_it_was_pickled_and_needs_nothing_of_ours(changes: Changes) -> None:
    group = Group.objects.create(name="first")
    pickled: list[bytes] = []

    def act() -> None:
        # As many as would be too deep for a pickle, were each kept in the next.
        for number in range(300):
            with transaction.atomic():
                renamed(group, str(number))
        pickled.append(pickle.dumps(group))

    rolled_back(act)
    # In the transaction it held, as for a cache that is filled before the commit.
    assert changes(pickle.loads(pickled[0]).save) == []
    kept = pickle.dumps(group)
    assert b"auditclient.django" not in pickled[0] + kept
    assert changes(pickle.loads(kept).save) == [("changed", {"name": ["first", "299"]})]


def test_saves_in_one_transaction_keep_the_first_state_alone(changes: Changes) -> None:
    group = Group.objects.create(name="first")
    with transaction.atomic():
        for number in range(10):
            renamed(group, str(number))
        # That of its creation is in the transaction of the test.
        assert len(group.__dict__[models_watch.UNSETTLED]) == 2


def test_a_change_whose_event_could_not_be_kept_after_the_commit_is_in_the_next_one(
    changes_committed: Changes, committed: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = committed
    with monkeypatch.context() as broken:
        broken.setattr(recording, "client", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            renamed(group, "second")
    assert Group.objects.get(pk=group.pk).name == "second"
    assert changes_committed(group.save) == [("changed", {"name": ["first", "second"]})]
