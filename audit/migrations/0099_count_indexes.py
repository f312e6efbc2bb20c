from django.db import migrations

from audit.operations import IndexBesideInserts

# Of the account of a day what changed long after it, as `audit.accounting.daily` asks for it.
LATE = "({at}) WHERE day < ({at} AT TIME ZONE 'UTC')::date - 30"


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: counts are made meanwhile

    dependencies = [
        ("audit", "0098_forgottenruns"),
    ]

    operations = [
        IndexBesideInserts("audit_completenesscount_turn", "audit_completenesscount", "(writer, id)"),
        IndexBesideInserts("audit_account_late", "audit_account", LATE.format(at="changed_at")),
        IndexBesideInserts("audit_passage_late", "audit_passage", LATE.format(at="copied_at")),
        IndexBesideInserts("audit_promise_late", "audit_promise", LATE.format(at="handed_at")),
        IndexBesideInserts("audit_dayrecord_unwritten", "audit_dayrecord", "(day) WHERE written_at IS NULL"),
    ]
