from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0044_checkpoint_by_time"),
    ]

    operations = [RunSqlFile("0045_tidy.sql")]
