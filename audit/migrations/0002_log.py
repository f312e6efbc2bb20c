import django.db.models.deletion
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0003_log.sql")],
            state_operations=[
                migrations.CreateModel(
                    name="Checkpoint",
                    fields=[
                        ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("size", models.BigIntegerField()),
                        ("root", models.BinaryField()),
                        ("note", models.TextField()),
                        ("created_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "audit_checkpoint",
                        "ordering": ("-number",),
                        "default_permissions": ("view",),
                        "base_manager_name": "objects",
                    },
                ),
                migrations.CreateModel(
                    name="Leaf",
                    fields=[
                        ("index", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("record_id", models.UUIDField(unique=True)),
                        ("leaf_hash", models.BinaryField()),
                    ],
                    options={
                        "db_table": "audit_leaf",
                        "default_permissions": (),
                        "base_manager_name": "objects",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("all", "all"),
                            ("range", "range"),
                            ("correlation", "correlation"),
                            ("newest", "newest"),
                            ("rolling", "rolling"),
                        ],
                        max_length=20,
                    ),
                ),
                ("correlation_id", models.CharField(blank=True, max_length=255)),
                ("first", models.BigIntegerField(default=0, help_text="The first leaf.")),
                ("last", models.BigIntegerField(default=0, help_text="The leaf after the last one.")),
                ("position", models.BigIntegerField(default=0, help_text="The leaf that is next.")),
                ("requested_by", models.CharField(max_length=150)),
                ("started_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("VERIFIED", "VERIFIED"),
                            ("ALTERED", "ALTERED"),
                            ("MISSING", "MISSING"),
                            ("UNKNOWN", "UNKNOWN"),
                            ("FORKED", "FORKED"),
                            ("NOT COVERED", "NOT COVERED"),
                        ],
                        max_length=20,
                    ),
                ),
                ("counts", models.JSONField(default=dict, help_text="How many of each were checked.")),
                ("not_covered", models.JSONField(default=list, help_text="What was not checked, in words.")),
            ],
            options={
                "ordering": ("-id",),
                "permissions": (("start_verification", "Can start a verification"),),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(editable=False, max_length=300, unique=True)),
                ("kind", models.CharField(max_length=20)),
                (
                    "subject",
                    models.CharField(help_text="What is at fault: record, leaf, node, checkpoint ...", max_length=20),
                ),
                ("record_id", models.UUIDField(null=True)),
                ("index", models.BigIntegerField(null=True)),
                ("detail", models.TextField()),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                (
                    "run",
                    models.ForeignKey(
                        help_text="Seen last in.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="findings",
                        to="audit.verification",
                    ),
                ),
            ],
            options={
                "ordering": ("-last_seen", "kind", "index"),
                "default_permissions": ("view",),
            },
        ),
    ]
