import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0015_heartbeat_waiting"),
    ]

    operations = [
        migrations.CreateModel(
            name="Export",
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
                            ("expired", "expired"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("kind", models.CharField(choices=[("query", "query"), ("range", "range")], max_length=10)),
                (
                    "query",
                    models.TextField(
                        blank=True, help_text="In the grammar of the search; spans count back from the request."
                    ),
                ),
                ("first", models.BigIntegerField(default=0, help_text="The first leaf of a range.")),
                ("last", models.BigIntegerField(default=0, help_text="The leaf after the last one of a range.")),
                ("with_csv", models.BooleanField(default=False)),
                ("requested_by", models.CharField(max_length=150)),
                (
                    "by_service",
                    models.BooleanField(default=False, help_text="Whether a writer's key asked, and not a person."),
                ),
                (
                    "sight",
                    models.JSONField(default=list, help_text="What the one who asked may see; empty: everything."),
                ),
                ("requested_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "checkpoint",
                    models.BigIntegerField(help_text="The number of the checkpoint that all proofs lead to."),
                ),
                ("size", models.BigIntegerField(help_text="How many records that checkpoint covers.")),
                ("total", models.BigIntegerField(help_text="How many records go in, once it is known.", null=True)),
                ("done", models.BigIntegerField(default=0, help_text="Records in whole volumes.")),
                (
                    "volumes",
                    models.JSONField(default=list, help_text="The volumes that are whole, with what is known of each."),
                ),
                ("manifest", models.JSONField(null=True)),
                ("digest", models.CharField(blank=True, help_text="SHA-256 of manifest.json.", max_length=64)),
                ("bytes", models.BigIntegerField(default=0, help_text="Of the zip.")),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "evidence bundle",
                "ordering": ("-requested_at", "id"),
                "permissions": (("make_export", "Can make and fetch evidence bundles"),),
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)), fields=["requested_at"], name="audit_export_under_way"
                    )
                ],
            },
        ),
    ]
