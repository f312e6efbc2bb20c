from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0066_archived_record"),
    ]

    operations = [
        migrations.AddField(
            model_name="verification",
            name="anchor_place",
            field=models.TextField(
                blank=True, db_default="", help_text="Checkpoints of the anchor up to this place were checked."
            ),
        ),
    ]
