from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0011_account"),
    ]

    operations = [
        migrations.CreateModel(
            name="HourCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("writer", models.CharField(max_length=100)),
                ("hour", models.DateTimeField(help_text="The beginning of the hour, UTC.")),
                ("events", models.BigIntegerField(default=0)),
                ("failures", models.BigIntegerField(default=0, help_text="Those with the outcome failure.")),
                (
                    "parked",
                    models.BigIntegerField(default=0, help_text="Those that came by way of the dead letter queue."),
                ),
            ],
            options={
                "verbose_name": "coverage",
                "verbose_name_plural": "coverage",
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["hour"], name="audit_hourcount_hour")],
                "constraints": [models.UniqueConstraint(fields=("writer", "hour"), name="audit_hourcount_one")],
            },
        ),
        RunSqlFile("0012_coverage.sql"),
    ]
