from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0098_forgottenruns"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="unfinished",
            field=models.JSONField(help_text="While it is made: the sections that are finished.", null=True),
        ),
        migrations.AddField(
            model_name="report",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How often the section that is not finished was begun."
            ),
        ),
    ]
