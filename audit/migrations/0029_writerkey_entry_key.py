from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0027_writer_is_lenient"),
    ]

    operations = [
        migrations.AddField(
            model_name="writerkey",
            name="entry_key",
            field=models.BinaryField(
                editable=False,
                help_text="The key that signs what its holder parks, encrypted with DLQ_ENTRY_KEY.",
                max_length=128,
                null=True,
            ),
        ),
    ]
