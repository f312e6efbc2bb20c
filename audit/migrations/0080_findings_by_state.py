from django.db import migrations

from audit.operations import IndexBesideInserts

OPEN = "closed_at IS NULL AND explained_at IS NULL"
STATES = {
    "open": OPEN,
    "explained": "closed_at IS NULL AND explained_at IS NOT NULL",
    "closed": "closed_at IS NOT NULL",
    "untold": f"{OPEN} AND told_at IS NULL",
}
FINDINGS = ("gap", "manifest", "unmet")


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: findings are made meanwhile

    dependencies = [
        ("audit", "0079_completenesscount"),
    ]

    operations = [
        # What is not counted yet: as good as empty, once all of before is.
        *(
            IndexBesideInserts(f"audit_{name}_uncounted", f"audit_{name}", "(id) WHERE NOT counted")
            for name in ("numbering", "brokenpromise", *FINDINGS)
        ),
        # Lists show the newest of a state, and alarms tell of the oldest that nobody was told of.
        *(
            IndexBesideInserts(f"audit_{name}_{state}_at", f"audit_{name}", f"(found_at, id) WHERE {condition}")
            for name in FINDINGS
            for state, condition in STATES.items()
        ),
        # What somebody took on is counted on every page of theirs.
        *(
            IndexBesideInserts(
                f"audit_{name}_owner", f"audit_{name}", f"(owner, found_at, id) WHERE {OPEN} AND owner <> ''"
            )
            for name in FINDINGS
        ),
        # Of each writer the last heartbeat, and those that are still to be judged.
        IndexBesideInserts("audit_heartbeat_last", "audit_heartbeat", "(writer, at)"),
        IndexBesideInserts(
            "audit_heartbeat_waiting", "audit_heartbeat", "(waiting_at, id) WHERE waiting_at IS NOT NULL"
        ),
        # Of each writer those that were compared longest ago.
        IndexBesideInserts(
            "audit_manifest_turn", "audit_manifest", "(writer, looked_at NULLS FIRST, id) WHERE closed_at IS NULL"
        ),
        IndexBesideInserts("audit_manifest_newest", "audit_manifest", "(found_at, id)"),
        IndexBesideInserts("audit_unmet_newest", "audit_unmet", "(found_at, id)"),
        IndexBesideInserts("audit_unmet_rule", "audit_unmet", f"(expectation_id, writer, due_at) WHERE {OPEN}"),
    ]
