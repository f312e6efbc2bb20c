from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0030_token_subjects"),
    ]

    operations = [
        migrations.AddField(
            model_name="writer",
            name="is_lenient",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Its events that are not valid go to the dead letter queue as they came, for a person to "
                "correct, and are answered as accepted: for clients that drop what is refused and cannot send "
                "Prefer: handling=lenient.",
                verbose_name="keep invalid events",
            ),
        ),
    ]
