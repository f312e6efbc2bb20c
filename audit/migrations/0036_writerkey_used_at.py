from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0035_address"),
    ]

    operations = [
        migrations.AddField(
            model_name="writerkey",
            name="used_at",
            field=models.DateTimeField(editable=False, help_text="To the minute.", null=True, verbose_name="last used"),
        ),
    ]
