from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0067_verification_anchor_place"),
    ]

    operations = [
        migrations.AddField(
            model_name="rhythm",
            name="read_at",
            field=models.DateTimeField(help_text="When events of this writer were last read from the log.", null=True),
        ),
    ]
