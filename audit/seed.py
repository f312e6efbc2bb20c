"""What every installation starts with: the groups of people, and the schedules."""

from django.contrib.auth.models import Group, Permission
from django_q.models import Schedule

GROUPS = {
    "auditor": [
        "audit.view_record",
        "audit.view_access",
        "audit.view_parked",
        "audit.view_quarantined",
        "audit.view_discard",
        "audit.view_episode",
        "audit.view_writer",
        "audit.view_checkpoint",
        "audit.view_verification",
        "audit.view_finding",
        "audit.start_verification",
        "audit.view_gap",
        "audit.view_manifest",
        "audit.explain_gap",
    ],
    "operator": [
        "audit.view_parked",
        "audit.view_quarantined",
        "audit.retry_parked",
        "audit.view_discard",
        "audit.view_episode",
        "audit.note_episode",
        "audit.view_writer",
        "audit.view_checkpoint",
        "audit.view_verification",
        "audit.view_finding",
        "audit.view_gap",
        "audit.view_manifest",
        "audit.explain_gap",
        "django_q.view_schedule",
        "django_q.view_failure",
    ],
    "compliance officer": [
        "audit.view_record",
        "audit.view_access",
        "audit.view_parked",
        "audit.view_quarantined",
        "audit.view_discard",
        "audit.approve_discard",
        "audit.view_episode",
        "audit.view_writer",
        "audit.view_checkpoint",
        "audit.view_verification",
        "audit.view_finding",
        "audit.start_verification",
        "audit.view_gap",
        "audit.view_manifest",
        "audit.explain_gap",
    ],
    "administrator": [
        *[f"auth.{act}_user" for act in ("view", "add", "change")],
        "auth.view_group",
        *[f"audit.{act}_writer" for act in ("view", "add", "change")],
        "audit.view_writerkey",
        *[f"audit.{act}_auditorscope" for act in ("view", "add", "change", "delete")],
        "audit.view_parked",
        "audit.view_discard",
        "audit.approve_discard",
        "audit.view_episode",
        "django_q.view_schedule",
    ],
}
"""Who may do what: auditors read records, operators act on the DLQ, compliance officers read and decide, administrators
manage people, keys and scopes, and read no records."""

SCHEDULES = {
    "drain the dead letter queue": ("audit.tasks.tick", Schedule.MINUTES, 1),
    "seal what is stored": ("audit.tasks.seal", Schedule.MINUTES, 1),
    "verify what is new": ("audit.tasks.verify_newest", Schedule.MINUTES, 10),
    "verify the next slice": ("audit.tasks.verify_slice", Schedule.MINUTES, 10),
    "look for what never came": ("audit.tasks.account", Schedule.MINUTES, 1),
    "publish writer keys": ("audit.tasks.publish_keys", Schedule.MINUTES, 1),
    "make partitions ahead": ("audit.tasks.make_partitions", Schedule.DAILY, None),
}


def groups(using: str) -> None:
    """Make the groups and give them exactly the permissions above."""
    for name, wanted in GROUPS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        permissions = [_permission(using, label) for label in wanted]
        group.permissions.set([found for found in permissions if found is not None])


def schedules(using: str) -> None:
    """Make the schedules that are missing; a person may have changed the others."""
    for name, (function, kind, minutes) in SCHEDULES.items():
        Schedule.objects.using(using).get_or_create(
            name=name, defaults={"func": function, "schedule_type": kind, "minutes": minutes}
        )


def _permission(using: str, label: str) -> Permission | None:
    app, codename = label.split(".")
    return Permission.objects.using(using).filter(content_type__app_label=app, codename=codename).first()
