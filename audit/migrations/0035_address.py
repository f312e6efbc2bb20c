from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0029_writerkey_entry_key"),
    ]

    operations = [
        RunSqlFile("0035_address.sql"),
    ]
