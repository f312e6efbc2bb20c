import uuid

import django.db.models.deletion
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0016_export"),
    ]

    operations = [
        migrations.CreateModel(
            name="Report",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("running", "running"),
                            ("ready", "ready"),
                            ("cancelled", "cancelled"),
                            ("failed", "failed"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("first", models.DateField(help_text="The first day, UTC.")),
                ("last", models.DateField(help_text="The last day.")),
                ("packs", models.JSONField(help_text="The names of the sets of controls.")),
                (
                    "sight",
                    models.JSONField(default=list, help_text="What the one who asked may see; empty: everything."),
                ),
                ("requested_by", models.CharField(max_length=150)),
                ("requested_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("checkpoint", models.BigIntegerField(help_text="The number of the checkpoint that it is as of.")),
                ("done", models.IntegerField(default=0, help_text="Sections that are computed.")),
                ("total", models.IntegerField(default=0)),
                ("content", models.JSONField(help_text="What the digest covers.", null=True)),
                (
                    "beside",
                    models.JSONField(
                        help_text="What no checkpoint fixes: as it was when the report was made.", null=True
                    ),
                ),
                (
                    "digest",
                    models.CharField(blank=True, help_text="SHA-256 of the content in RFC 8785.", max_length=64),
                ),
                ("error", models.TextField(blank=True)),
                (
                    "again_of",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="repeated",
                        to="audit.report",
                    ),
                ),
            ],
            options={
                "verbose_name": "compliance report",
                "ordering": ("-requested_at", "id"),
                "permissions": (("make_report", "Can make compliance reports"),),
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)), fields=["requested_at"], name="audit_report_under_way"
                    )
                ],
            },
        ),
        RunSqlFile("0017_report.sql"),
    ]
