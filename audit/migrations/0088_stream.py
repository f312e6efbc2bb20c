from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0086_imports"),
    ]

    operations = [
        migrations.CreateModel(
            name="Stream",
            fields=[
                ("name", models.CharField(max_length=60, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(help_text="What it is: file, http, splunk, elastic, syslog ...", max_length=20),
                ),
                ("place", models.CharField(help_text="Where it is, without secrets.", max_length=500)),
                (
                    "unredacted",
                    models.BooleanField(default=False, help_text="Whether rules of redaction are not applied."),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        default=0, help_text="The log entry that it is given next: it has all before."
                    ),
                ),
                ("records", models.BigIntegerField(default=0, help_text="Records that it has taken.")),
                ("bytes", models.BigIntegerField(default=0, help_text="Their bytes.")),
                ("begun_at", models.DateTimeField()),
                ("taken_at", models.DateTimeField(help_text="When it last took something.", null=True)),
                ("seen_at", models.DateTimeField(help_text="When a streamer last worked on it.", null=True)),
                ("holder", models.UUIDField(help_text="The streamer that may move the cursor.", null=True)),
                ("problem", models.TextField(blank=True, help_text="Why it does not go on; empty while it does.")),
                ("problem_since", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm about it was told.", null=True)),
                (
                    "refused",
                    models.BigIntegerField(default=0, help_text="Records in whose place it was given a reference."),
                ),
                ("refusals", models.JSONField(default=list, help_text="The newest of them, and why.")),
                ("samples", models.JSONField(default=list, help_text="Its lag over time: when, and in records.")),
                ("ended_at", models.DateTimeField(help_text="When an operator ended it.", null=True)),
            ],
            options={
                "db_table": "audit_stream",
                "ordering": ("name",),
                "default_permissions": ("view",),
            },
        ),
    ]
