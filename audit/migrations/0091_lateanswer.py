from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0090_names_of_lists"),
    ]

    operations = [
        migrations.CreateModel(
            name="LateAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=255)),
                ("events", models.JSONField(help_text="Of each its time, id and type, in the order of time.")),
                ("read_at", models.DateTimeField(help_text="When they were read from the log.")),
                (
                    "place",
                    models.BigIntegerField(default=0, help_text="Findings up to this id have been looked at."),
                ),
                ("portions", models.PositiveIntegerField(default=0, help_text="How many portions have been.")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["portions", "id"], name="audit_lateanswer_turn"),
                    models.Index(fields=["subject"], name="audit_lateanswer_subject"),
                ],
                "default_permissions": (),
            },
        ),
    ]
