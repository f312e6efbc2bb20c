from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0075_purge_archive"),
    ]

    operations = [RunSqlFile("0078_purge_counts.sql")]
