from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0022_rights_and_quotas"),
    ]

    operations = [
        migrations.CreateModel(
            name="QueueGeneration",
            fields=[
                ("queue", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("generation", models.CharField(max_length=32)),
                ("last_id", models.CharField(help_text="The highest id that its stream had given.", max_length=50)),
                ("enqueued", models.BigIntegerField()),
                ("gone", models.BigIntegerField()),
                (
                    "base",
                    models.JSONField(
                        default=dict,
                        help_text="What a restored queue had counted before: counted already, by counter.",
                    ),
                ),
                ("restored", models.JSONField(default=dict, help_text="What was found when it was restored.")),
                ("told_at", models.DateTimeField(help_text="When the alarm about that went out.", null=True)),
            ],
            options={"default_permissions": ()},
        ),
    ]
