from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0095_scope_schema"),
    ]

    operations = [
        migrations.AddField(
            model_name="archivecheck",
            name="notes",
            field=models.JSONField(
                db_default=[],
                default=list,
                help_text="What the storage keeps of it: which files are locked, until when.",
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="folder",
            field=models.TextField(help_text="Where it was made: a folder, or s3://BUCKET/PREFIX."),
        ),
    ]
