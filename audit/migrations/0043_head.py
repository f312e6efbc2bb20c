from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0042_cosignature_by_name"),
    ]

    operations = [RunSqlFile("0043_head.sql")]
