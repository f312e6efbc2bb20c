from django.db import migrations

from audit.operations import IndexBesideInserts

# What an event that comes late can still change.
ANSWERABLE = "(closed_at IS NULL OR met_at > due_at) AND kind <> 'rate'"


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: findings are made meanwhile

    dependencies = [
        ("audit", "0091_lateanswer"),
    ]

    operations = [IndexBesideInserts("audit_unmet_answerable", "audit_unmet", f"(subject, id) WHERE {ANSWERABLE}")]
