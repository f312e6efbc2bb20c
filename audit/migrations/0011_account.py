from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0010_expectations"),
    ]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("writer", models.TextField()),
                ("direct", models.BigIntegerField(default=0, help_text="Stored at once.")),
                (
                    "queued",
                    models.BigIntegerField(default=0, help_text="Stored after they had waited: parked_at is set."),
                ),
                (
                    "spooled",
                    models.BigIntegerField(
                        default=0, help_text="Brought from local files to the store, past the queue."
                    ),
                ),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "account",
                "default_permissions": ("view",),
                "constraints": [models.UniqueConstraint(fields=("day", "writer"), name="audit_account_one")],
            },
        ),
        migrations.CreateModel(
            name="DayRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("version", models.IntegerField(help_text="From 1; a later one corrects the one before.")),
                ("part", models.IntegerField(help_text="From 1: a record holds so many writers.")),
                ("event_id", models.UUIDField()),
                ("document", models.JSONField()),
                ("made_at", models.DateTimeField()),
                ("written_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("day", "version", "part"),
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("day", "version", "part"), name="audit_dayrecord_one")],
            },
        ),
        migrations.CreateModel(
            name="Passage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("queue", models.CharField(max_length=100)),
                ("day", models.DateField()),
                ("writer", models.TextField()),
                (
                    "first",
                    models.CharField(
                        help_text="The stream id of the first; Redis that lost it counts anew.", max_length=50
                    ),
                ),
                ("came", models.BigIntegerField(default=0)),
                ("again", models.BigIntegerField(default=0, help_text="Of those: released from the quarantine.")),
                ("drained", models.BigIntegerField(default=0)),
                ("duplicate", models.BigIntegerField(default=0)),
                ("quarantined", models.BigIntegerField(default=0)),
                ("discarded", models.BigIntegerField(default=0)),
                (
                    "here",
                    models.BigIntegerField(
                        default=0, help_text="In the queue; 0 where Redis does not know of it any more."
                    ),
                ),
                ("dead", models.BigIntegerField(default=0)),
                ("copied_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["day", "writer"], name="audit_passage_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("queue", "day", "writer", "first"), name="audit_passage_one")
                ],
            },
        ),
        migrations.CreateModel(
            name="Promise",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("process", models.UUIDField()),
                ("day", models.DateField()),
                ("writer", models.TextField()),
                ("parked", models.BigIntegerField()),
                ("handed_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["day", "writer"], name="audit_promise_day")],
                "constraints": [models.UniqueConstraint(fields=("process", "day", "writer"), name="audit_promise_one")],
            },
        ),
        migrations.CreateModel(
            name="RejectedSample",
            fields=[
                ("id", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("writer", models.TextField()),
                ("reason", models.CharField(max_length=100)),
                ("detail", models.TextField()),
                ("body", models.BinaryField()),
            ],
            options={
                "verbose_name": "rejected event",
                "ordering": ("-at", "-id"),
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["writer", "reason", "-at"], name="audit_rejected_newest")],
            },
        ),
        migrations.CreateModel(
            name="Rejection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("writer", models.TextField()),
                ("reason", models.CharField(max_length=100)),
                (
                    "life",
                    models.CharField(blank=True, help_text='Which count in Redis; "": counted here.', max_length=32),
                ),
                ("events", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("day", "writer", "reason", "life"), name="audit_rejection_one")
                ],
            },
        ),
        RunSqlFile("0011_account.sql"),
    ]
