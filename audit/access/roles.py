"""The groups of people that every installation has, with their permissions."""

from typing import Any

# What each is for, in words; docs/access.md has the whole table.
MAY = {
    "auditor": "searches, reads, verifies and exports records, makes reports",
    "operator": "looks after the queue and outages; may not read records",
    "compliance officer": "as the auditor; signs reviews, places holds, redacts, erases; approves discards, retention",
    "administrator": "people, writers and their keys, scopes, rules; may not read records",
}


def _audit(act: str, *models: str) -> list[str]:
    return [f"audit.{act}_{model}" for model in models]


# What everybody sees who answers for the store, operators too.
OVERSIGHT = [
    *_audit("view", "parked", "quarantined", "discard", "episode", "writer", "checkpoint", "verification", "finding"),
    *_audit("view", "gap", "hourcount", "manifest", "brokenpromise", "expectation", "unmet", "waiver", "account"),
    *_audit("view", "rejectedsample", "archive", "stream", "eventschema"),
    *("audit.explain_gap", "audit.verify_receipt"),
]
# What comes with reading records.
READING = [
    *_audit("view", "record", "access", "export", "legalhold", "report", "review", "missedreview", "redactionrule"),
    *_audit("view", "statement", "archivedrecord", "retentionrequest", "erasurerule", "erasurerequest"),
    *_audit("make", "export", "report", "statement"),
    *("audit.start_verification", "audit.add_waiver", "audit.view_importmapping"),
]
# Auditors read records, explain and waive; operators act on the queue and explain; compliance officers read, decide,
# explain and waive; administrators manage people, keys, scopes and rules, and read no records. Whoever makes a rule
# cannot waive it.
GROUPS = {
    "auditor": [*OVERSIGHT, *READING],
    "operator": [
        *(*OVERSIGHT, "audit.retry_parked", "audit.note_episode"),
        *("django_q.view_schedule", "django_q.view_failure"),
    ],
    "compliance officer": [
        *(*OVERSIGHT, *READING),
        *("audit.view_rightsrequest", "audit.approve_rights"),
        *(
            "audit.approve_discard",
            "audit.approve_logresume",
            "audit.place_legalhold",
            "audit.sign_review",
            "audit.export_unredacted",
        ),
        *("audit.add_redactionrule", "audit.change_redactionrule", "audit.ask_retention", "audit.approve_retention"),
        "audit.try_importmapping",
        *("audit.add_erasurerule", "audit.change_erasurerule", "audit.ask_erasure", "audit.decide_erasure"),
    ],
    "administrator": [
        *("auth.view_user", "auth.add_user", "auth.change_user", "auth.view_group", "django_q.view_schedule"),
        *_audit("view", "writer", "writerkey", "auditorscope", "expectation", "waiver", "parked", "discard", "episode"),
        *_audit("view", "eventschema"),
        *_audit("add", "writer", "auditorscope", "expectation", "eventschema"),
        *_audit("change", "writer", "auditorscope", "expectation"),
        *("audit.delete_auditorscope", "audit.approve_discard"),
        *("audit.view_retentionrequest", "audit.approve_retention"),
        *("audit.view_importmapping", "audit.try_importmapping"),
        *("audit.view_rightsrequest", "audit.approve_rights"),
    ],
}


def groups(using: str) -> None:
    """Create the groups, and give them exactly the permissions above."""
    from django.contrib.auth.models import Group  # not above: `make run` reads MAY before Django is set up

    for name, wanted in GROUPS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        permissions = [_permission(using, label) for label in wanted]
        group.permissions.set([permission for permission in permissions if permission is not None])


def _permission(using: str, label: str) -> Any:
    from django.contrib.auth.models import Permission

    app, codename = label.split(".")
    return Permission.objects.using(using).filter(content_type__app_label=app, codename=codename).first()
