"""Requests for rights, and quotas of writers: a new table, and columns without a default, which are quick to add."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0021_outbox"),
    ]

    operations = [
        migrations.CreateModel(
            name="RightsRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("writer", "writer"), ("person", "person")], max_length=10)),
                (
                    "subject",
                    models.CharField(help_text="The name of the writer or person that would get them.", max_length=150),
                ),
                (
                    "asked",
                    models.JSONField(help_text="`groups` of a person; `scopes` and what they may read of a writer."),
                ),
                ("asked_by", models.CharField(max_length=150)),
                ("asked_at", models.DateTimeField()),
                (
                    "decision",
                    models.CharField(
                        blank=True, choices=[("granted", "granted"), ("declined", "declined")], max_length=10
                    ),
                ),
                ("decided_by", models.CharField(blank=True, max_length=150)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "request for rights",
                "verbose_name_plural": "requests for rights",
                "ordering": ("-id",),
                "permissions": (("approve_rights", "Can grant rights that another person asked for"),),
                "default_permissions": ("view",),
            },
        ),
        migrations.AddField(
            model_name="writer",
            name="quota_bytes",
            field=models.BigIntegerField(
                blank=True,
                help_text="Bytes of requests with events, a UTC day.",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AddField(
            model_name="writer",
            name="quota_epochs",
            field=models.BigIntegerField(
                blank=True,
                help_text="Distinct source_epoch values of events, a UTC day.",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AddField(
            model_name="writer",
            name="quota_events",
            field=models.BigIntegerField(
                blank=True,
                help_text="Events a UTC day; empty: no limit.",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AddField(
            model_name="writer",
            name="quota_exports",
            field=models.BigIntegerField(
                blank=True,
                help_text="Evidence bundles that are asked for on a UTC day, those of statements and reports too.",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AddField(
            model_name="writer",
            name="quota_manifests",
            field=models.BigIntegerField(
                blank=True,
                help_text="Manifests that are open, for their events are not all here.",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
    ]
