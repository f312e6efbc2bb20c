from django.db import migrations

from audit.operations import IndexBesideInserts


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: gaps are opened meanwhile

    dependencies = [
        ("audit", "0073_scope_erase"),
    ]

    operations = [IndexBesideInserts("audit_gap_newest", "audit_gap", "(found_at, id)")]
