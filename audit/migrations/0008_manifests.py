from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0007_numbering"),
    ]

    operations = [
        RunSqlFile("0008_manifests.sql"),
        migrations.CreateModel(
            name="Manifest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("found_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                (
                    "key",
                    models.CharField(help_text="SHA-256 of the writer and the statement.", max_length=64, unique=True),
                ),
                ("writer", models.CharField(max_length=100)),
                ("epoch", models.CharField(blank=True, max_length=64)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("count", models.BigIntegerField()),
                ("first_seq", models.BigIntegerField(null=True)),
                ("last_seq", models.BigIntegerField(null=True)),
                ("event_ids", models.JSONField(default=list)),
                ("ids_digest", models.CharField(blank=True, max_length=64)),
                ("contents_digest", models.CharField(blank=True, max_length=64)),
                ("came", models.BigIntegerField(default=0)),
                (
                    "surplus",
                    models.BigIntegerField(default=0, help_text="Events that came beyond those that were stated."),
                ),
                ("agrees", models.BooleanField(default=False)),
                ("looked_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("-found_at", "-id"),
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(condition=models.Q(("closed_at", None)), fields=["writer"], name="audit_manifest_open")
                ],
            },
        ),
    ]
