import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0069_is_purged"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasureRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        help_text="Appears in records of its changes; cannot be changed later.",
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
                        help_text="actor_id, event_data.user.email, or event_data for all of it; * is any one name, "
                        "** any number.",
                        max_length=500,
                    ),
                ),
                (
                    "event_type",
                    models.CharField(
                        blank=True,
                        help_text="Only in events of this type (blank = all); gateway.* means all types that begin "
                        "with gateway.",
                        max_length=100,
                    ),
                ),
                (
                    "only_sensitive",
                    models.BooleanField(default=False, help_text="Only in events that say is_sensitive."),
                ),
                ("reason", models.TextField(help_text="The law or duty that requires it.", max_length=1000)),
            ],
            options={
                "ordering": ("name",),
                "abstract": False,
                "default_permissions": ("view", "add", "change"),
            },
        ),
        migrations.CreateModel(
            name="ErasureRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("asked_by", models.CharField(max_length=150, verbose_name="requested by")),
                ("asked_at", models.DateTimeField(verbose_name="requested at")),
                ("subject", models.TextField(help_text="The query or the ids that name the records.")),
                (
                    "records",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(),
                        help_text="The records that the subject names at the request.",
                        size=None,
                    ),
                ),
                (
                    "paths",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=500),
                        help_text="The members (empty = all that can be erased).",
                        size=None,
                    ),
                ),
                ("basis", models.CharField(help_text="The legal basis, such as GDPR Art. 17(1)(b).", max_length=200)),
                ("reason", models.TextField(max_length=2000)),
            ],
            options={
                "verbose_name": "erasure",
                "ordering": ("-id",),
                "permissions": (
                    ("ask_erasure", "Can ask for an erasure"),
                    ("decide_erasure", "Can approve or refuse an erasure that somebody else asked for"),
                ),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ErasureDecision",
            fields=[
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="decision",
                        serialize=False,
                        to="audit.erasurerequest",
                    ),
                ),
                ("approved", models.BooleanField()),
                ("decided_by", models.CharField(max_length=150)),
                ("decided_at", models.DateTimeField()),
                (
                    "ground",
                    models.TextField(blank=True, help_text="Of a refusal: such as Art. 17(3)(b).", max_length=2000),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSqlFile("0070_erasable.sql")],
            state_operations=[
                migrations.AddField(model_name="record", name="erasable", field=models.JSONField(null=True)),
                migrations.AddField(model_name="archivedrecord", name="erasable", field=models.JSONField(null=True)),
            ],
        ),
    ]
