from django.db import migrations

from audit.operations import IndexBesideInserts

# Of the account of a day what changed long after it, as `audit.accounting.daily` asks for it.
LATE = "({at}) WHERE day < ({at} AT TIME ZONE 'UTC')::date - 30"
# Of findings what ended since, as `audit.review.exception_report` counts what was open at the end of a day.
FINDINGS = ("gap", "manifest", "unmet", "brokenpromise")
OPEN = "closed_at IS NULL AND explained_at IS NULL"
SINCE = {
    "closed_since": "(closed_at, found_at, explained_at) WHERE closed_at IS NOT NULL",
    "explained_since": "(explained_at, found_at) WHERE closed_at IS NULL AND explained_at IS NOT NULL",
}


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: counts are made meanwhile

    dependencies = [
        ("audit", "0099_report_unfinished"),
    ]

    operations = [
        IndexBesideInserts("audit_completenesscount_turn", "audit_completenesscount", "(writer, id)"),
        IndexBesideInserts("audit_account_late", "audit_account", LATE.format(at="changed_at")),
        IndexBesideInserts("audit_passage_late", "audit_passage", LATE.format(at="copied_at")),
        IndexBesideInserts("audit_promise_late", "audit_promise", LATE.format(at="handed_at")),
        IndexBesideInserts("audit_dayrecord_unwritten", "audit_dayrecord", "(day) WHERE written_at IS NULL"),
        *(
            IndexBesideInserts(f"audit_{finding}_{name}", f"audit_{finding}", columns)
            for finding in FINDINGS
            for name, columns in SINCE.items()
        ),
        IndexBesideInserts("audit_brokenpromise_open_at", "audit_brokenpromise", f"(found_at, id) WHERE {OPEN}"),
    ]
