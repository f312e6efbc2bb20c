from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0097_name_of_schemas"),
    ]

    operations = [
        migrations.CreateModel(
            name="ForgottenRuns",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(help_text="The day on which they ended, UTC.")),
                ("scope", models.CharField(max_length=20)),
                ("verdict", models.CharField(max_length=20)),
                ("runs", models.BigIntegerField()),
                ("records", models.BigIntegerField(help_text="How many records they had computed anew.")),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("day", "scope", "verdict"), name="audit_forgottenruns_day")
                ],
            },
        ),
        RunSqlFile("0098_forgottenruns.sql"),
    ]
