import django.db.models.deletion
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0006_skipped"),
    ]

    operations = [
        migrations.CreateModel(
            name="Followed",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(default=0)),
                ("followed_at", models.DateTimeField(help_text="When it last was at the end of the log.", null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Rhythm",
            fields=[
                ("writer", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("events", models.BigIntegerField(default=0)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField(help_text="When the newest event was received.")),
                ("longest", models.JSONField(default=dict, help_text="The longest silence of each day, in seconds.")),
                ("told_at", models.DateTimeField(help_text="When the alarm about its silence went out.", null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0007_numbering.sql")],
            state_operations=[
                migrations.AddField(
                    model_name="record",
                    name="source_epoch",
                    field=models.CharField(max_length=64, null=True),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("writer", models.CharField(max_length=100)),
                ("epoch", models.CharField(blank=True, max_length=64)),
                ("seq", models.BigIntegerField(null=True)),
                ("at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("writer", "epoch"), name="audit_heartbeat_one")],
            },
        ),
        migrations.CreateModel(
            name="Numbering",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("writer", models.CharField(max_length=100)),
                ("epoch", models.CharField(blank=True, max_length=64)),
                (
                    "highest",
                    models.BigIntegerField(default=0, help_text="All up to here came, but for what the gaps name."),
                ),
                ("highest_at", models.DateTimeField(help_text="The event time of that one.", null=True)),
                ("events", models.BigIntegerField(default=0)),
                (
                    "reused",
                    models.BigIntegerField(default=0, help_text="Events whose number another event had before."),
                ),
                ("reused_first", models.JSONField(default=list, help_text="The first of them: number and record.")),
                ("began_at", models.DateTimeField(null=True)),
                ("updated_at", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("writer", "epoch"), name="audit_numbering_one")],
            },
        ),
        migrations.CreateModel(
            name="Gap",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first", models.BigIntegerField(help_text="The first number that was missing when it was found.")),
                ("last", models.BigIntegerField()),
                ("missing", models.BigIntegerField(help_text="How many of them are missing still.")),
                (
                    "after_at",
                    models.DateTimeField(help_text="The event time of the number before: not made earlier.", null=True),
                ),
                ("before_at", models.DateTimeField(help_text="The event time of the number after: not made later.")),
                (
                    "tail",
                    models.BooleanField(default=False, help_text="Known from a heartbeat: no later event came yet."),
                ),
                ("found_at", models.DateTimeField()),
                ("last_late_at", models.DateTimeField(help_text="When the last of them came after all.", null=True)),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                (
                    "numbering",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="gaps", to="audit.numbering"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "completeness",
                "ordering": ("-found_at", "-id"),
                "permissions": (("explain_gap", "Can explain a gap"),),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Hole",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("after_at", models.DateTimeField(null=True)),
                ("before_at", models.DateTimeField()),
                (
                    "gap",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="holes", to="audit.gap"
                    ),
                ),
                (
                    "numbering",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="holes", to="audit.numbering"
                    ),
                ),
            ],
            options={
                "ordering": ("first",),
                "default_permissions": (),
                "indexes": [models.Index(fields=["numbering", "first"], name="audit_hole_place")],
            },
        ),
        migrations.AddIndex(
            model_name="gap",
            index=models.Index(
                condition=models.Q(("closed_at", None)), fields=["numbering", "first"], name="audit_gap_open"
            ),
        ),
    ]
