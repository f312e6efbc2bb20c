from django.db import migrations, models

import audit.models.writers


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0092_unmet_answerable"),
    ]

    operations = [
        migrations.AlterField(
            model_name="writer",
            name="scopes",
            field=models.JSONField(
                default=audit.models.writers.default_scopes,
                help_text='Any of "write", "read", "export", "unredacted", "hold", "erase", "schema".',
            ),
        ),
    ]
