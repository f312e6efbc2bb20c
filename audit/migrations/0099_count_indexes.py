from django.db import migrations

from audit.operations import IndexBesideInserts


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: counts are made meanwhile

    dependencies = [
        ("audit", "0097_name_of_schemas"),
    ]

    operations = [IndexBesideInserts("audit_completenesscount_turn", "audit_completenesscount", "(writer, id)")]
