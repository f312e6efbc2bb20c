from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0016_export"),
    ]

    operations = [
        RunSqlFile("0019_received.sql"),
        migrations.AddField(
            model_name="export",
            name="received",
            field=models.JSONField(
                help_text="The window of time whose records the range holds, and how many they are.", null=True
            ),
        ),
    ]
