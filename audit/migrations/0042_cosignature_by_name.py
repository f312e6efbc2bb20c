from django.db import migrations


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY: cosignatures come in meanwhile

    dependencies = [
        ("audit", "0041_verification_ids_position"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_cosignature_name ON audit_cosignature (name, checkpoint)",
            "DROP INDEX CONCURRENTLY IF EXISTS audit_cosignature_name",
        ),
    ]
