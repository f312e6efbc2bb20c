from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0045_tidy"),
    ]

    operations = [RunSqlFile("0046_stray.sql")]
