"""The groups of people that every installation has, with their permissions."""

from django.contrib.auth.models import Group, Permission

# What everybody sees who answers for the store, operators too.
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
# What comes with reading records.
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
# Auditors read records, explain and waive; operators act on the queue and explain; compliance officers read, decide,
# explain and waive; administrators manage people, keys, scopes and rules, and read no records. Whoever makes a rule
# cannot waive it.
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


def groups(using: str) -> None:
    """Create the groups, and give them exactly the permissions above."""
    for name, wanted in GROUPS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        permissions = [_permission(using, label) for label in wanted]
        group.permissions.set([permission for permission in permissions if permission is not None])


def _permission(using: str, label: str) -> Permission | None:
    app, codename = label.split(".")
    return Permission.objects.using(using).filter(content_type__app_label=app, codename=codename).first()
