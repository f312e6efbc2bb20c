import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0061_crosslink"),
    ]

    operations = [
        migrations.CreateModel(
            name="Archive",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("sight", models.JSONField(default=list, help_text="What the requester may see (empty = everything).")),
                ("requested_by", models.CharField(max_length=150)),
                ("requested_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "running"), ("ready", "ready")], default="running", max_length=20
                    ),
                ),
                ("folder", models.TextField(help_text="Where it was made.")),
                ("first", models.BigIntegerField(help_text="The first log entry that it holds.")),
                ("last", models.BigIntegerField(help_text="The log entry after the last one that it holds.")),
                (
                    "checkpoint",
                    models.BigIntegerField(help_text="The number of the checkpoint that all proofs refer to."),
                ),
                ("size", models.BigIntegerField(help_text="How many records that checkpoint covers.")),
                ("done", models.BigIntegerField(default=0, help_text="Records in finished volumes.")),
                ("bytes", models.BigIntegerField(default=0, help_text="Size of its finished volumes.")),
                ("digest", models.CharField(blank=True, help_text="SHA-256 of archive.json.", max_length=64)),
            ],
            options={
                "ordering": ("-requested_at", "id"),
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["first", "last"], name="audit_archive_range")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")), fields=("folder",), name="audit_archive_one_a_folder"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ArchiveCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("volume", models.IntegerField(help_text="The only volume that was checked (blank = all).", null=True)),
                ("folder", models.TextField(help_text="Where the archive was looked for: a copy may lie elsewhere.")),
                ("requested_by", models.CharField(max_length=150)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                (
                    "verdict",
                    models.CharField(
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
                ("volumes", models.IntegerField(help_text="How many volumes were checked.")),
                ("records", models.BigIntegerField(help_text="How many records of them were proved.")),
                ("faults", models.JSONField(default=list, help_text="What is wrong, in words; the first hundred.")),
                (
                    "archive",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="checks", to="audit.archive"
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ArchiveVolume",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.IntegerField()),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("bytes", models.BigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("since", models.CharField(help_text="The first time of its events.", max_length=30)),
                ("until", models.CharField(help_text="The last time of its events.", max_length=30)),
                (
                    "archive",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="volumes", to="audit.archive"
                    ),
                ),
            ],
            options={
                "ordering": ("number",),
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("archive", "number"), name="audit_archivevolume_number")
                ],
            },
        ),
    ]
