from uuid import UUID

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0036_writerkey_used_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="verification",
            name="ids_position",
            field=models.UUIDField(
                db_default=UUID(int=0), help_text="Records up to this id were looked at for a leaf."
            ),
        ),
    ]
