from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0070_erasable"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0071_quarantine_beside.sql")],
            state_operations=[
                migrations.AddField(model_name="quarantined", name="beside", field=models.BinaryField(null=True)),
            ],
        ),
    ]
