from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0080_findings_by_state"),
    ]

    operations = [RunSqlFile("0083_intent.sql")]
