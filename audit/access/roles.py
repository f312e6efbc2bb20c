"""What every installation starts with: groups of people, schedules, rules about events that must come, and views."""

import json
from datetime import UTC, datetime
from pathlib import Path

from django.contrib.auth.models import Group, Permission
from django_q.models import Schedule

from audit.formats import expectation
from audit.models import Checkpoint, Expectation, SavedView

PACK = Path(__file__).parent.parent / "expectations" / "packs" / "remediation.json"
VIEWS = Path(__file__).parent.parent / "search" / "packs" / "views.json"

OVERSIGHT = [
    "audit.view_parked",
    "audit.view_quarantined",
    "audit.view_discard",
    "audit.view_episode",
    "audit.view_writer",
    "audit.view_checkpoint",
    "audit.view_verification",
    "audit.view_finding",
    "audit.view_gap",
    "audit.view_hourcount",
    "audit.view_manifest",
    "audit.explain_gap",
    "audit.view_brokenpromise",
    "audit.verify_receipt",
    "audit.view_expectation",
    "audit.view_unmet",
    "audit.view_waiver",
    "audit.view_account",
    "audit.view_rejectedsample",
]
"""What everybody sees who answers for the store, operators too."""
READING = [
    "audit.view_record",
    "audit.view_access",
    "audit.start_verification",
    "audit.view_export",
    "audit.view_legalhold",
    "audit.make_export",
    "audit.view_report",
    "audit.make_report",
    "audit.add_waiver",
    "audit.view_review",
    "audit.view_missedreview",
    "audit.view_redactionrule",
    "audit.view_statement",
    "audit.make_statement",
]
"""What comes with reading records."""
GROUPS = {
    "auditor": [*OVERSIGHT, *READING],
    "operator": [
        *OVERSIGHT,
        "audit.retry_parked",
        "audit.note_episode",
        "django_q.view_schedule",
        "django_q.view_failure",
    ],
    "compliance officer": [
        *OVERSIGHT,
        *READING,
        "audit.approve_discard",
        "audit.place_legalhold",
        "audit.sign_review",
        "audit.export_unredacted",
        "audit.add_redactionrule",
        "audit.change_redactionrule",
    ],
    "administrator": [
        *[f"auth.{act}_user" for act in ("view", "add", "change")],
        "auth.view_group",
        *[f"audit.{act}_writer" for act in ("view", "add", "change")],
        "audit.view_writerkey",
        *[f"audit.{act}_auditorscope" for act in ("view", "add", "change", "delete")],
        *[f"audit.{act}_expectation" for act in ("view", "add", "change")],
        "audit.view_waiver",
        "audit.view_parked",
        "audit.view_discard",
        "audit.approve_discard",
        "audit.view_episode",
        "django_q.view_schedule",
    ],
}
"""Who may do what: auditors read records, explain and waive; operators act on the DLQ and explain; compliance officers
read, decide, explain and waive; administrators manage people, keys, scopes and rules, and read no records. Who makes a
rule does not waive it."""

SCHEDULES = {
    "drain the dead letter queue": ("audit.tasks.tick", Schedule.MINUTES, 1),
    "seal what is stored": ("audit.tasks.seal", Schedule.MINUTES, 1),
    "verify what is new": ("audit.tasks.verify_newest", Schedule.MINUTES, 10),
    "verify the next slice": ("audit.tasks.verify_slice", Schedule.MINUTES, 10),
    "look for what never came": ("audit.tasks.account", Schedule.MINUTES, 1),
    "record the account of days": ("audit.tasks.write_days", Schedule.MINUTES, 30),
    "look for days without a review": ("audit.tasks.judge_reviews", Schedule.MINUTES, 30),
    "publish writer keys": ("audit.tasks.publish_keys", Schedule.MINUTES, 1),
    "go on with evidence bundles": ("audit.tasks.go_on_with_exports", Schedule.MINUTES, 1),
    "make compliance reports": ("audit.tasks.go_on_with_reports", Schedule.MINUTES, 1),
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


def expectations(using: str) -> None:
    """Make the rules of the pack that are missing; what people made of the others stays."""
    head = Checkpoint.objects.using(using).first()
    pack = expectation.read_pack(PACK.read_bytes())
    for rule in pack.expectations:
        asks = {field: getattr(rule, field) for field in Expectation.FIELDS if field != "name"}
        Expectation.objects.using(using).get_or_create(
            name=rule.name, defaults={**asks, "pack": pack.pack, "first_leaf": head.size if head else 0}
        )


def views(using: str) -> None:
    """Make the views of the pack of controls that are missing."""
    pack = json.loads(VIEWS.read_bytes())
    for view in pack["views"]:
        SavedView.objects.using(using).get_or_create(
            pack=pack["pack"],
            name=view["name"],
            owner="",
            defaults={"query": view["query"], "why": view["why"], "saved_at": datetime.now(UTC)},
        )


def _permission(using: str, label: str) -> Permission | None:
    app, codename = label.split(".")
    return Permission.objects.using(using).filter(content_type__app_label=app, codename=codename).first()
