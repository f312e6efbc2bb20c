"""What is created, changed and deleted of audited models: which fields, from what to what.

Audited are the models that AUDITCLIENT["models"] names (an app, or app.Model) and those with the mixin
`auditclient.django.mixin.Audited`. Bulk operations and QuerySet.update send no signals in Django, and are not seen.
"""

from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save

from auditclient.django.mixin import Audited
from auditclient.django.recording import of_settings, record_whole
from auditclient.errors import ConfigError
from auditclient.events import VERSION, plain

# The member of an instance that has its columns and their values as they were. A tuple of values is made in a tenth of
# the time of a dictionary, for each instance that is read.
BEFORE = "_auditclient_read"
# Where a client of before kept it, by names, in what it pickled.
OLDER = "_auditclient_before"
Read = tuple[tuple[str, ...], tuple[Any, ...]]
# What it has there at first: no columns, no values.
NOTHING: Read = ((), ())
# The member that has what stood in `BEFORE` before each save that may still be rolled back, the oldest first, each with
# whether that save holds. Flat, as many saves that are each kept in the next could not be pickled.
UNSETTLED = "_auditclient_unsettled"
# The value of a column that was not read; the same object also where an instance was pickled.
UNREAD = ...
# Never written out, whatever AUDITCLIENT["exclude"] says.
SECRET = ("password", "token", "secret", "api_key")
HIDDEN = "(not shown)"
CATEGORY_CHARACTERS = 50
PASSED = {"post_add": "linked", "post_remove": "unlinked", "post_clear": "unlinked"}


def watch() -> None:
    """Listen to every audited model. Raises `ConfigError` for a name that is none."""
    for model in audited():
        post_init.connect(_remember, sender=model, dispatch_uid="auditclient")
        post_save.connect(_saved, sender=model, dispatch_uid="auditclient")
        post_delete.connect(_deleted, sender=model, dispatch_uid="auditclient")
        for relation in model._meta.many_to_many:
            m2m_changed.connect(_linked, sender=getattr(model, relation.name).through, dispatch_uid="auditclient")


def audited() -> list[type[Model]]:
    """Return the models that are audited. Raises `ConfigError`."""
    models: dict[type[Model], None] = {model: None for model in apps.get_models() if issubclass(model, Audited)}
    for name in of_settings(models=True).get("models", ()):
        try:
            app, _, model_name = name.partition(".")
            named = [apps.get_model(name)] if model_name else list(apps.get_app_config(app).get_models())
        except LookupError as error:
            raise ConfigError(f'AUDITCLIENT["models"]: {error}') from None
        models |= dict.fromkeys(named)
    return list(models)


def _remember(sender: type[Model], instance: Model, **_: Any) -> None:
    shape = _shape(type(instance))
    instance.__dict__[BEFORE] = shape.names, _values(instance, shape)


def _saved(
    sender: type[Model],
    instance: Model,
    created: bool,
    using: str,
    update_fields: frozenset[str] | None = None,
    raw: bool = False,
    **_: Any,
) -> None:
    shape = _shape(type(instance))
    if UNSETTLED in instance.__dict__:
        _settle(instance)
    kept, now = instance.__dict__.get(BEFORE, NOTHING), _values(instance, shape)
    before = kept[1] if kept[0] is shape.names else _before(instance, shape)
    if update_fields is not None:
        now = _written(instance, update_fields, before, now)
    changes = {}
    for name, old, value in zip(shape.names, before, now, strict=True):
        if value is UNREAD or (old is value and not created):
            continue
        if created or old is UNREAD:
            changes[name] = [None, value]
        elif old != value:
            changes[name] = [old, value]
    if created or changes:
        connection = transaction.get_connection(using)
        _record(instance, shape, "created" if created else "changed", connection, changes)
        # Not before: what could not be recorded is not made where the caller has a transaction.
        if connection.in_atomic_block:
            _unsettle(instance, kept, connection)
    instance.__dict__[BEFORE] = shape.names, now


def _written(
    instance: Model, update_fields: frozenset[str], before: tuple[Any, ...], now: tuple[Any, ...]
) -> tuple[Any, ...]:
    """What the columns are after a save of these fields alone, which may be given by either of their names."""
    return tuple(
        value if field.name in update_fields or field.attname in update_fields else old
        for field, old, value in zip(instance._meta.concrete_fields, before, now, strict=True)
    )


def _settle(instance: Model) -> None:
    """Put back what stood before the saves that were rolled back: the next is compared with what is in the database."""
    known = instance.__dict__
    unsettled = known.pop(UNSETTLED)
    while unsettled and not unsettled[-1][0]:
        known[BEFORE] = unsettled[-1][1]
        unsettled = unsettled[:-1]
    # What is under a save that is committed can not be rolled back any more.
    if unsettled and isinstance(unsettled[-1][0], Saved) and not unsettled[-1][0].is_committed:
        known[UNSETTLED] = unsettled


def _unsettle(instance: Model, kept: Read, connection: BaseDatabaseWrapper) -> None:
    """Keep what stood before a save in a transaction, but where it can only be rolled back together with the last."""
    unsettled = instance.__dict__.get(UNSETTLED, ())
    if not unsettled or not unsettled[-1][0].is_beside(connection):
        instance.__dict__[UNSETTLED] = (*unsettled, (Saved(connection), kept))


def _deleted(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    shape = _shape(type(instance))
    values = zip(shape.names, _values(instance, shape), strict=True)
    connection = transaction.get_connection(using)
    changes = {name: [value, None] for name, value in values if value is not UNREAD}
    _record(instance, shape, "deleted", connection, changes)


def _linked(sender: type[Model], instance: Model, action: str, model: type[Model], using: str, **others: Any) -> None:
    if action in PASSED:
        keys = sorted(map(str, others.get("pk_set") or ()))
        shape = _shape(type(instance))
        connection = transaction.get_connection(using)
        _record(instance, shape, PASSED[action], connection, {}, relation=sender._meta.label_lower, keys=keys or "all")


def _values(instance: Model, shape: "Shape") -> tuple[Any, ...]:
    """The values of all columns, in their order."""
    known = instance.__dict__
    try:
        return shape.read(known)
    except KeyError:
        return tuple(known.get(name, UNREAD) for name in shape.names)


def _before(instance: Model, shape: "Shape") -> tuple[Any, ...]:
    """What they were when the instance was read or saved last."""
    names, values = instance.__dict__.get(BEFORE, NOTHING)
    if names == shape.names:
        return tuple(values)
    # It was pickled by a process whose model had other columns, or whose client was older, or that did not listen.
    known = dict(zip(names, values, strict=True)) or instance.__dict__.get(OLDER, {})
    return tuple(known.get(name, UNREAD) for name in shape.names)


def _record(
    instance: Model,
    shape: "Shape",
    what: str,
    connection: BaseDatabaseWrapper,
    changes: dict[str, list[Any]],
    **more: Any,
) -> None:
    for name in shape.secret:
        if name in changes:
            changes[name] = [None if value is None else HIDDEN for value in changes[name]]
    try:
        text = str(instance)
    except ObjectDoesNotExist:
        # It would read a column that was not read yet, and the row is deleted.
        text = Model.__str__(instance)
    record_whole(
        {
            "version": VERSION,
            "event_type": f"{shape.type}.{what}",
            "event_category": shape.category,
            "event_action": what,
            "event_outcome": "success",
            "resource_type": shape.resource,
            "resource_id": str(instance.pk),
            "event_data": {
                "changes": {name: [plain(old), plain(new)] for name, (old, new) in changes.items()},
                "text": plain(text[:200]),
                **more,
            },
        },
        connection,
    )


class Saved:
    """Is true while a save in a transaction holds: it waits for the commit, or is committed.

    It stands among what Django calls at the commit, in `run_on_commit`. A rollback, also one to a savepoint, takes all
    away from there that came since, so that what stays keeps its place, and nothing needs to be searched.

    It is behind the event: where what is called before it raises, the event is lost or with the caller, and the next
    save tells the change again. So does a save in a function that is called at the commit before it: twice is better
    than never.
    """

    __slots__ = ("_connection", "_place")

    def __init__(self, connection: BaseDatabaseWrapper):
        self._connection: BaseDatabaseWrapper | None = connection
        self._place = len(connection.run_on_commit)
        connection.on_commit(self)

    def __call__(self) -> None:
        # An instance that lives on keeps no connection.
        self._connection = None

    def __bool__(self) -> bool:
        return self.is_committed or self._waits()

    @property
    def is_committed(self) -> bool:
        return self._connection is None

    def is_beside(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether what is saved now is in the same savepoints as this, which waits for the commit."""
        if connection is not self._connection or not self._waits():
            return False
        savepoints: set[str] = connection.run_on_commit[self._place][0]
        return savepoints == set(connection.savepoint_ids)

    def _waits(self) -> bool:
        actions = self._connection.run_on_commit if self._connection else ()
        return self._place < len(actions) and actions[self._place][1] is self

    def __deepcopy__(self, _: dict[int, Any]) -> "Saved":
        # What becomes of the save is the same for a copy of the instance.
        return self

    def __reduce__(self) -> tuple[type[bool], tuple[bool]]:
        # Another process can not know what becomes of it, and may have a client that does not know this class.
        return bool, (bool(self),)


class Shape(NamedTuple):
    """What is the same for all instances of a model."""

    # Its columns, their values where all were read, and those whose values are never written out.
    names: tuple[str, ...]
    read: Callable[[dict[str, Any]], tuple[Any, ...]]
    secret: frozenset[str]
    type: str
    category: str
    resource: str


@cache
def _shape(model: type[Model]) -> Shape:
    meta = model._meta
    excluded = of_settings(models=True).get("exclude", ())
    names = tuple(field.attname for field in meta.concrete_fields)
    return Shape(
        names,
        # Of a single name it would give no tuple.
        itemgetter(*names) if len(names) > 1 else lambda known: (known[names[0]],),
        frozenset(field.attname for field in meta.concrete_fields if _is_secret(field, excluded)),
        f"{meta.app_label}.{meta.model_name}".lower(),
        meta.app_label.lower()[:CATEGORY_CHARACTERS],
        meta.label_lower,
    )


def _is_secret(field: "Field[Any, Any]", excluded: tuple[str, ...]) -> bool:
    name = field.attname
    return any(word in name for word in SECRET) or name in excluded or f"{field.model._meta.label}.{name}" in excluded
