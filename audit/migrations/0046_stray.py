from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0051_help_texts"),
    ]

    operations = [RunSqlFile("0046_stray.sql")]
