from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0078_purge_counts"),
    ]

    operations = [
        migrations.CreateModel(
            name="CompletenessCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(help_text="Of what: the name of a model.", max_length=20)),
                ("writer", models.CharField(max_length=100)),
                ("rule", models.BigIntegerField(help_text="The expectation that was not met.", null=True)),
                (
                    "hour",
                    models.DateTimeField(
                        help_text="When they were found: the hour, later the day, then nothing.", null=True
                    ),
                ),
                ("open", models.BigIntegerField()),
                ("explained", models.BigIntegerField()),
                ("every", models.BigIntegerField(help_text="How many there ever were.")),
                ("missing", models.BigIntegerField(help_text="Numbers that never came, by what is open.")),
                ("missing_explained", models.BigIntegerField()),
                ("numbered", models.BigIntegerField(help_text="Events that have a number.")),
                ("reused", models.BigIntegerField(help_text="Events with a number that another event already had.")),
            ],
            options={
                "default_permissions": (),
            },
        ),
        RunSqlFile("0079_completenesscount.sql"),
    ]
