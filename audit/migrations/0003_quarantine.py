from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_log"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0004_quarantine.sql")],
            state_operations=[
                migrations.CreateModel(
                    name="Quarantined",
                    fields=[
                        ("n", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("message_id", models.TextField()),
                        ("key", models.TextField()),
                        ("digest", models.BinaryField()),
                        ("body", models.BinaryField()),
                        ("source", models.TextField()),
                        ("kind", models.TextField()),
                        ("reason", models.TextField()),
                        ("attempts", models.IntegerField()),
                        ("errors", models.TextField()),
                        ("received_at", models.DateTimeField(null=True)),
                        ("parked_at", models.DateTimeField()),
                        ("cause", models.TextField()),
                        ("quarantined_by", models.TextField()),
                        ("quarantined_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "quarantined event",
                        "verbose_name_plural": "quarantine",
                        "db_table": "audit_quarantine",
                        "ordering": ("-n",),
                        "default_permissions": ("view",),
                        "base_manager_name": "objects",
                    },
                ),
            ],
        ),
        migrations.AlterModelOptions(
            name="parked",
            options={
                "default_permissions": ("view",),
                "managed": False,
                "permissions": (("retry_parked", "Can retry, snooze and quarantine parked events"),),
                "verbose_name": "parked event",
                "verbose_name_plural": "dead letter queue",
            },
        ),
    ]
