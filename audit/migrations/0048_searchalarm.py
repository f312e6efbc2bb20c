import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0047_help_texts"),
    ]

    operations = [
        migrations.CreateModel(
            name="SearchAlarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.BigIntegerField(help_text="The log entry that it looks at next.")),
                (
                    "batch",
                    models.PositiveIntegerField(
                        default=5_000, help_text="How many log entries the next step looks at."
                    ),
                ),
                ("turn_at", models.DateTimeField(help_text="When it last had its turn.", null=True)),
                ("due_at", models.DateTimeField(help_text="It has no turn before this time.")),
                (
                    "looked_until",
                    models.DateTimeField(help_text="Everything sealed before this time has been looked at.", null=True),
                ),
                ("told_at", models.DateTimeField(help_text="When the last alarm was sent.", null=True)),
                (
                    "told_records",
                    models.BigIntegerField(default=0, help_text="How many records the last alarm was about."),
                ),
                ("told_first", models.DateTimeField(help_text="When the first of them happened.", null=True)),
                ("told_last", models.DateTimeField(help_text="When the last of them happened.", null=True)),
                (
                    "problem",
                    models.CharField(blank=True, help_text="Why it does not look at present.", max_length=300),
                ),
                (
                    "view",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alarm", to="audit.savedview"
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
    ]
