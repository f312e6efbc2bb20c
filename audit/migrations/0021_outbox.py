from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0020_legal_hold"),
    ]

    operations = [
        RunSqlFile("0021_partitions.sql"),
    ]
