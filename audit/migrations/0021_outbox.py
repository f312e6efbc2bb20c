from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0020_legal_hold"),
    ]

    operations = [
        RunSqlFile("0021_partitions.sql"),
        migrations.CreateModel(
            name="OutboxAlarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("alarm", models.CharField(max_length=100)),
                ("text", models.TextField()),
                ("figures", models.JSONField(default=dict)),
                ("made_at", models.DateTimeField(auto_now_add=True)),
                ("taken_by", models.JSONField(default=list, help_text="The ways that took it already.")),
                ("tried_at", models.DateTimeField(null=True)),
                ("heard_at", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(condition=models.Q(("heard_at", None)), fields=["id"], name="audit_outbox_unheard")
                ],
            },
        ),
    ]
