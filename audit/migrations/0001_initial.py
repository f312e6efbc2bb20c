import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import audit.models
from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Parked",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
            ],
            options={
                "verbose_name": "parked event",
                "verbose_name_plural": "dead letter queue",
                "permissions": (("retry_parked", "Can retry parked events"),),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0001_record.sql"), RunSqlFile("0002_append_only.sql")],
            state_operations=[
                migrations.CreateModel(
                    name="Record",
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
                                choices=[
                                    ("success", "success"),
                                    ("failure", "failure"),
                                    ("pending", "pending"),
                                ],
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
                        ("digest", models.BinaryField()),
                        ("received_at", models.DateTimeField()),
                        ("parked_at", models.DateTimeField(null=True)),
                        ("stored_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "audit_record",
                        "ordering": ("-event_timestamp", "-id"),
                        "default_permissions": ("view",),
                        "base_manager_name": "objects",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="Writer",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="Stands in every record of this writer, and cannot be changed.",
                        max_length=100,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9._-]*\\Z",
                                "Use lower-case letters, digits, '.', '_' and '-'.",
                            )
                        ],
                    ),
                ),
                (
                    "scopes",
                    models.JSONField(
                        default=audit.models.default_scopes,
                        help_text='Any of "write", "read", "export", "hold".',
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="WriterKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "prefix",
                    models.CharField(help_text="The first characters, to tell keys apart.", max_length=16),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "writer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="keys", to="audit.writer"
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at",),
            },
        ),
    ]
