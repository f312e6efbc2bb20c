import django.core.validators
from django.db import migrations, models

import audit.models.writers
from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0018_review"),
    ]

    operations = [
        RunSqlFile("0019_received.sql"),
        migrations.CreateModel(
            name="RedactionRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Stands in bundles and records, and cannot be changed.",
                        max_length=50,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*\\Z", "Use lower-case letters, digits and '-'."
                            )
                        ],
                    ),
                ),
                (
                    "path",
                    models.CharField(
                        help_text="actor_ip, or event_data.user.email; * is any one member, ** any number of levels.",
                        max_length=500,
                    ),
                ),
                (
                    "event_type",
                    models.CharField(
                        blank=True,
                        help_text="Only in events of this type; gateway.* is all that begins so.",
                        max_length=100,
                    ),
                ),
                (
                    "method",
                    models.CharField(
                        choices=[("remove", "remove"), ("digest", "digest"), ("mask", "mask")],
                        help_text="remove leaves nothing; digest the same for equal values of a bundle; mask a letter.",
                        max_length=10,
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        help_text="The duty or law that asks for it: it stands in the bundle.", max_length=1000
                    ),
                ),
                ("active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("name",),
                "default_permissions": ("view", "add", "change"),
            },
        ),
        migrations.CreateModel(
            name="Statement",
            fields=[],
            options={
                "verbose_name": "signed statement",
                "permissions": (("make_statement", "Can have statements signed"),),
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("audit.record",),
        ),
        migrations.AlterModelOptions(
            name="export",
            options={
                "default_permissions": ("view",),
                "ordering": ("-requested_at", "id"),
                "permissions": (
                    ("make_export", "Can make and fetch evidence bundles"),
                    ("export_unredacted", "Can make evidence bundles without redaction"),
                ),
                "verbose_name": "evidence bundle",
            },
        ),
        migrations.AddField(
            model_name="export",
            name="population",
            field=models.BigIntegerField(help_text="Of how many the sample is drawn.", null=True),
        ),
        migrations.AddField(
            model_name="export",
            name="received",
            field=models.JSONField(
                help_text="The window of time whose records the range holds, and how many they are.", null=True
            ),
        ),
        migrations.AddField(
            model_name="export",
            name="redaction",
            field=models.JSONField(
                default=list, help_text="The rules that held at the request; empty: nothing is redacted."
            ),
        ),
        migrations.AddField(
            model_name="export",
            name="sample",
            field=models.IntegerField(
                help_text="How many are drawn of those asked for; empty: all are taken.", null=True
            ),
        ),
        migrations.AddField(
            model_name="export",
            name="seed",
            field=models.CharField(blank=True, help_text="What the sample is drawn with.", max_length=100),
        ),
        migrations.AddField(
            model_name="export",
            name="unredacted",
            field=models.BooleanField(default=False, help_text="Whether it was asked for without redaction."),
        ),
        migrations.AlterField(
            model_name="writer",
            name="scopes",
            field=models.JSONField(
                default=audit.models.writers.default_scopes,
                help_text='Any of "write", "read", "export", "unredacted", "hold".',
            ),
        ),
    ]
