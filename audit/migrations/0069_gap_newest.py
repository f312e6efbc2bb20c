from django.db import migrations

from audit.operations import IndexBesideInserts


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: gaps are opened meanwhile

    dependencies = [
        ("audit", "0068_rhythm_read_at"),
    ]

    operations = [IndexBesideInserts("audit_gap_newest", "audit_gap", "(found_at, id)")]
