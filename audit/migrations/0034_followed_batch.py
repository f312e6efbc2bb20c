from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0023_queue_generation"),
    ]

    operations = [
        migrations.AddField(
            model_name="followed",
            name="batch",
            field=models.PositiveIntegerField(db_default=20_000, help_text="So many leaves the next step reads."),
        ),
    ]
