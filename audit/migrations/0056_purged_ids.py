from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0055_purge"),
    ]

    operations = [RunSqlFile("0056_purged_ids.sql")]
