from django.db import migrations

from audit.operations import IndexBesideInserts


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: cosignatures come in meanwhile

    dependencies = [
        ("audit", "0041_verification_ids_position"),
    ]

    operations = [IndexBesideInserts("audit_cosignature_name", "audit_cosignature", "(name, checkpoint)")]
