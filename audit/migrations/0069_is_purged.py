from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0068_rhythm_read_at"),
    ]

    operations = [RunSqlFile("0069_is_purged.sql")]
