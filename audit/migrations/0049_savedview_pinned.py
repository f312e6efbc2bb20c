from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0048_searchalarm"),
    ]

    operations = [
        migrations.AddField(
            model_name="savedview",
            name="pinned",
            field=models.BooleanField(db_default=False, help_text="It stands first in the owner's list."),
        ),
    ]
