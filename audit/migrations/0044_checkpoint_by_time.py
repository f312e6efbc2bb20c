from django.db import migrations

from audit.operations import IndexBesideInserts


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: checkpoints come in meanwhile

    dependencies = [
        ("audit", "0043_head"),
    ]

    operations = [IndexBesideInserts("audit_checkpoint_time", "audit_checkpoint", "(created_at, number)")]
