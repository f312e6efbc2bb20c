from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0071_quarantine_beside"),
    ]

    operations = [
        RunSqlFile("0072_purge_values.sql"),
    ]
