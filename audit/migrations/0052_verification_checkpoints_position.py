from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0051_strays_by_month"),
    ]

    operations = [
        migrations.AddField(
            model_name="verification",
            name="checkpoints_position",
            field=models.BigIntegerField(
                help_text="Checkpoints up to this number were checked; empty: those before position.", null=True
            ),
        ),
    ]
