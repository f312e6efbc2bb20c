from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0017_report"),
    ]

    operations = [
        migrations.CreateModel(
            name="MissedReview",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("found_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                ("day", models.DateField(unique=True)),
                ("due_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "missed review",
                "ordering": ("-day",),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Loss",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("found_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                ("day", models.DateField()),
                ("writer", models.TextField()),
                ("lost", models.BigIntegerField(help_text="How many events were lost when it was explained.")),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("day", "writer"), name="audit_loss_one")],
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("number", models.IntegerField(help_text="From 1; later ones countersign.")),
                ("signed_by", models.CharField(max_length=150)),
                ("signed_at", models.DateTimeField()),
                ("note", models.TextField(blank=True)),
                ("exceptions", models.BigIntegerField(help_text="How many were shown.")),
                (
                    "digest",
                    models.CharField(help_text="SHA-256 of the RFC 8785 form of what was shown.", max_length=64),
                ),
                ("shown", models.JSONField()),
            ],
            options={
                "verbose_name": "daily review",
                "ordering": ("day", "number"),
                "permissions": (("sign_review", "Can sign the daily review"),),
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("day", "number"), name="audit_review_one")],
            },
        ),
        RunSqlFile("0018_review.sql"),
    ]
