from django.db import migrations

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0050_later_signatures"),
    ]

    operations = [RunSqlFile("0051_strays_by_month.sql")]
