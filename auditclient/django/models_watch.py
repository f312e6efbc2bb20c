"""What is created, changed and deleted of audited models: which fields, from what to what.

Audited are the models that AUDITCLIENT["models"] names (an app, or app.Model) and those with the mixin
`auditclient.django.mixin.Audited`. Bulk operations and QuerySet.update send no signals in Django, and are not seen.
"""

from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Field, Model
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save

from auditclient.django.mixin import Audited
from auditclient.django.recording import of_settings, record_plain
from auditclient.errors import ConfigError
from auditclient.events import plain

BEFORE = "_auditclient_before"
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
    instance.__dict__[BEFORE] = _values(instance)


def _saved(sender: type[Model], instance: Model, created: bool, using: str, raw: bool = False, **_: Any) -> None:
    before, now = instance.__dict__.get(BEFORE, {}), _values(instance)
    instance.__dict__[BEFORE] = now
    if created:
        return _record(instance, "created", using, {name: [None, value] for name, value in now.items()})
    changes = {}
    for name, value in now.items():
        old = before.get(name)
        if old != value or name not in before:
            changes[name] = [old, value]
    if changes:
        _record(instance, "changed", using, changes)


def _deleted(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    _record(instance, "deleted", using, {name: [value, None] for name, value in _values(instance).items()})


def _linked(sender: type[Model], instance: Model, action: str, model: type[Model], using: str, **others: Any) -> None:
    if action in PASSED:
        keys = sorted(map(str, others.get("pk_set") or ()))
        _record(instance, PASSED[action], using, {}, relation=sender._meta.label_lower, keys=keys or "all")


def _values(instance: Model) -> dict[str, Any]:
    """The values of all fields that were read, by the names of their columns."""
    known = instance.__dict__
    return {name: known[name] for name in _shape(type(instance)).names if name in known}


def _record(instance: Model, what: str, using: str, changes: dict[str, list[Any]], **more: Any) -> None:
    shape = _shape(type(instance))
    for name in shape.secret:
        if name in changes:
            changes[name] = [None if value is None else HIDDEN for value in changes[name]]
    record_plain(
        {
            "event_type": f"{shape.type}.{what}",
            "event_category": shape.category,
            "event_action": what,
            "resource_type": shape.resource,
            "resource_id": str(instance.pk),
            "event_data": {
                "changes": {name: [plain(old), plain(new)] for name, (old, new) in changes.items()},
                "text": plain(str(instance)[:200]),
                **more,
            },
        },
        using=using,
    )


class Shape(NamedTuple):
    """What is the same for all instances of a model."""

    # Its columns, and those whose values are never written out.
    names: tuple[str, ...]
    secret: frozenset[str]
    type: str
    category: str
    resource: str


@cache
def _shape(model: type[Model]) -> Shape:
    meta = model._meta
    excluded = of_settings(models=True).get("exclude", ())
    return Shape(
        tuple(field.attname for field in meta.concrete_fields),
        frozenset(field.attname for field in meta.concrete_fields if _is_secret(field, excluded)),
        f"{meta.app_label}.{meta.model_name}".lower(),
        meta.app_label.lower()[:CATEGORY_CHARACTERS],
        meta.label_lower,
    )


def _is_secret(field: "Field[Any, Any]", excluded: tuple[str, ...]) -> bool:
    name = field.attname
    return any(word in name for word in SECRET) or name in excluded or f"{field.model._meta.label}.{name}" in excluded
