"""Writers that are known by the subject of a token, too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0034_followed_batch")]
    operations = [
        migrations.AddField(
            model_name="writerkey",
            name="subject",
            field=models.CharField(
                blank=True, default="", help_text="Of tokens of JWT_ISSUER, where it is no key.", max_length=500
            ),
        )
    ]
