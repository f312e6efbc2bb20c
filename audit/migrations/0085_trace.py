from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0083_intent"),
    ]

    operations = [RunSqlFile("0085_trace.sql")]
