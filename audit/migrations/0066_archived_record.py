import django.db.models.deletion
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0065_archive"),
    ]

    operations = [
        migrations.AddField(
            model_name="archivevolume",
            name="read_at",
            field=models.DateTimeField(help_text="When its records were read back, to search in them.", null=True),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0066_archived_record.sql")],
            state_operations=[
                migrations.CreateModel(
                    name="ArchivedRecord",
                    fields=[
                        ("id", models.UUIDField(primary_key=True, serialize=False)),
                        ("writer", models.CharField(max_length=100)),
                        ("version", models.CharField(max_length=20)),
                        ("event_type", models.CharField(max_length=100)),
                        ("event_timestamp", models.DateTimeField()),
                        ("event_category", models.CharField(max_length=50)),
                        ("event_action", models.CharField(max_length=50)),
                        (
                            "event_outcome",
                            models.CharField(
                                choices=[("success", "success"), ("failure", "failure"), ("pending", "pending")],
                                max_length=10,
                            ),
                        ),
                        ("correlation_id", models.CharField(max_length=255)),
                        ("event_data", models.JSONField()),
                        ("actor_type", models.CharField(max_length=50)),
                        ("actor_id", models.CharField(max_length=255)),
                        ("actor_ip", models.CharField(max_length=45, null=True)),
                        ("resource_type", models.CharField(max_length=100)),
                        ("resource_id", models.CharField(max_length=255)),
                        ("parent_event_id", models.UUIDField(null=True)),
                        ("namespace", models.CharField(max_length=253, null=True)),
                        ("cluster_id", models.CharField(max_length=255, null=True)),
                        ("severity", models.CharField(max_length=20)),
                        ("duration_ms", models.IntegerField(null=True)),
                        ("error_code", models.CharField(max_length=50, null=True)),
                        ("error_message", models.CharField(max_length=10000, null=True)),
                        ("retention_days", models.IntegerField(null=True)),
                        ("is_sensitive", models.BooleanField()),
                        ("source_seq", models.BigIntegerField(null=True)),
                        ("source_epoch", models.CharField(max_length=64, null=True)),
                        ("digest", models.BinaryField()),
                        ("received_at", models.DateTimeField()),
                        ("parked_at", models.DateTimeField(null=True)),
                        ("stored_at", models.DateTimeField()),
                        ("leaf_index", models.BigIntegerField()),
                        (
                            "archive",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="audit.archive",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "audit_archived_record",
                        "ordering": ("-event_timestamp", "-id"),
                        "default_permissions": ("view",),
                        "base_manager_name": "objects",
                    },
                ),
            ],
        ),
    ]
