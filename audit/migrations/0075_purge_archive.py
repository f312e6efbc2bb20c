from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0074_gap_newest"),
    ]

    operations = [
        migrations.AddField(
            model_name="retentionrequest",
            name="without_archive",
            field=models.TextField(
                db_default="", help_text="Why what a purge removes need not be in an archive (blank = it has to be)."
            ),
        ),
        RunSqlFile("0075_purge_archive.sql"),
    ]
