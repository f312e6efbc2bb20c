import django.core.validators
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0088_stream"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventSchema",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "event_type",
                    models.CharField(
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z][a-z0-9_-]*(\\.[a-z0-9_-]+)*$(?!\\n)", "Use dotted lower-case words."
                            )
                        ],
                    ),
                ),
                (
                    "event_version",
                    models.CharField(
                        blank=True,
                        help_text="Only events with this version (blank = those without a schema of their own).",
                        max_length=20,
                    ),
                ),
                ("revision", models.IntegerField()),
                ("document", models.JSONField(help_text="JSON Schema 2020-12 of event_data.")),
                (
                    "mode",
                    models.CharField(
                        choices=[("refuse", "refuse"), ("warn", "warn"), ("off", "off")],
                        help_text="refuse: what does not fit is answered 400; warn: it is stored and counted; "
                        "off: nothing is checked.",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(help_text="Why it is registered, or changed.", max_length=1000)),
                ("made_by", models.CharField(max_length=150)),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_eventschema",
                "ordering": ("event_type", "event_version", "-revision"),
                "default_permissions": ("view", "add"),
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_type", "event_version", "revision"), name="audit_eventschema_one"
                    )
                ],
            },
        ),
        RunSqlFile("0089_eventschema.sql"),
    ]
