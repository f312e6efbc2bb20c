import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import audit.models.expectations


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0009_brokenpromise"),
    ]

    operations = [
        migrations.CreateModel(
            name="Expectation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Stands in records and alarms, and cannot be changed.",
                        max_length=50,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*\\Z", "Use lower-case letters, digits and '-'."
                            )
                        ],
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("followed", "an event is followed by another, with the same correlation"),
                            ("has", "each correlation has an event"),
                            ("rate", "a writer sends so many events a day"),
                        ],
                        max_length=10,
                    ),
                ),
                ("why", models.TextField(help_text="Why it matters that these events come.", max_length=1000)),
                ("when_types", models.JSONField(blank=True, default=audit.models.expectations.no_types)),
                ("expect_types", models.JSONField(default=audit.models.expectations.no_types)),
                ("writer", models.CharField(blank=True, max_length=100)),
                ("category", models.CharField(blank=True, max_length=50)),
                ("within_s", models.PositiveIntegerField(blank=True, null=True)),
                ("least", models.PositiveIntegerField(blank=True, null=True)),
                ("pack", models.CharField(blank=True, editable=False, max_length=50)),
                ("active", models.BooleanField(default=True)),
                ("inactive_because", models.TextField(blank=True, max_length=1000)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                (
                    "first_leaf",
                    models.BigIntegerField(
                        default=0, editable=False, help_text="The first place in the log that counts."
                    ),
                ),
                (
                    "next_day",
                    models.DateField(editable=False, help_text="The first day that is not judged yet.", null=True),
                ),
                ("met", models.BigIntegerField(default=0, editable=False, help_text="How often it was met.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("name",),
                "default_permissions": ("view", "add", "change"),
            },
        ),
        migrations.CreateModel(
            name="Waiver",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "correlation",
                    models.CharField(
                        blank=True,
                        help_text="Of this correlation; with * at its end, of all that begin so.",
                        max_length=255,
                    ),
                ),
                ("writer", models.CharField(blank=True, help_text="Of this writer; empty for any.", max_length=100)),
                ("begins_at", models.DateTimeField(help_text="UTC")),
                ("ends_at", models.DateTimeField(help_text="UTC")),
                ("reason", models.TextField(max_length=1000)),
                ("by", models.CharField(editable=False, max_length=150)),
                ("made_at", models.DateTimeField(editable=False)),
                (
                    "expectation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="waivers", to="audit.expectation"
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "default_permissions": ("view", "add"),
            },
        ),
        migrations.CreateModel(
            name="Awaited",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=255)),
                (
                    "key",
                    models.CharField(help_text="Tells it from others of the same rule and subject.", max_length=40),
                ),
                ("writer", models.CharField(max_length=100)),
                ("began_by", models.UUIDField()),
                ("since", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                (
                    "ripe_at",
                    models.DateTimeField(
                        help_text="From then on it may be missed: it is due, and what began it is here."
                    ),
                ),
                (
                    "expectation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="awaited", to="audit.expectation"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["ripe_at", "id"], name="audit_awaited_ripe")],
                "constraints": [
                    models.UniqueConstraint(fields=("expectation", "subject", "key"), name="audit_awaited_one")
                ],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("came", models.BigIntegerField()),
                (
                    "expectation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="tallies", to="audit.expectation"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("expectation", "day"), name="audit_tally_one")],
            },
        ),
        migrations.CreateModel(
            name="Unmet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("found_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                ("subject", models.CharField(help_text="The correlation, or the writer.", max_length=255)),
                ("key", models.CharField(max_length=40)),
                ("writer", models.CharField(max_length=100)),
                ("began_by", models.UUIDField(help_text="The record that made us wait.", null=True)),
                ("since", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("wanted", models.TextField(help_text="What was expected, in words, as the rule was then.")),
                ("kind", models.CharField(max_length=10)),
                ("expect_types", models.JSONField(default=audit.models.expectations.no_types)),
                ("least", models.PositiveIntegerField(null=True)),
                ("came", models.BigIntegerField(default=0, help_text="How many came, where they are counted.")),
                ("met_at", models.DateTimeField(help_text="The event time of what came after all.", null=True)),
                ("met_by", models.UUIDField(help_text="The record of it.", null=True)),
                (
                    "expectation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="unmet", to="audit.expectation"
                    ),
                ),
                (
                    "waiver",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="excused",
                        to="audit.waiver",
                    ),
                ),
            ],
            options={
                "verbose_name": "unmet expectation",
                "verbose_name_plural": "unmet expectations",
                "ordering": ("-found_at", "-id"),
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["subject"], name="audit_unmet_subject"),
                    models.Index(
                        condition=models.Q(("closed_at", None)), fields=["expectation"], name="audit_unmet_open"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("expectation", "subject", "key"), name="audit_unmet_one")
                ],
            },
        ),
    ]
