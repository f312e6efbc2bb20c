from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0085_trace"),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportMapping",
            fields=[
                ("name", models.CharField(max_length=14, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "mapping",
                "permissions": (("try_importmapping", "Can try a mapping on a sample"),),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ImportPlace",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="SHA-256 of writer, mapping and path.",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("offset", models.BigIntegerField(help_text="Bytes of the file, unzipped, that were taken.")),
                ("line", models.BigIntegerField()),
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of these bytes: nothing of another file is passed over.", max_length=64
                    ),
                ),
                ("state", models.JSONField(help_text="What else a reader has to know to go on.")),
                ("saved_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["saved_at"], name="audit_importplace_saved")],
            },
        ),
    ]
