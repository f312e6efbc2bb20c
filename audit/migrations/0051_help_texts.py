"""Help texts in plain words: state alone, no SQL."""

import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0050_help_texts"),
    ]

    operations = [
        migrations.AlterField(
            model_name="passage",
            name="here",
            field=models.BigIntegerField(
                default=0, help_text="How many are in the queue; 0 if Redis no longer knows them."
            ),
        ),
        migrations.AlterField(
            model_name="queuegeneration",
            name="base",
            field=models.JSONField(
                default=dict, help_text="What the counters of a restored queue had already counted."
            ),
        ),
        migrations.AlterField(
            model_name="queuegeneration",
            name="last_id",
            field=models.CharField(help_text="The highest id that its stream had assigned.", max_length=50),
        ),
        migrations.AlterField(
            model_name="queuegeneration",
            name="restored",
            field=models.JSONField(default=dict, help_text="What was detected when it was restored."),
        ),
        migrations.AlterField(
            model_name="queuegeneration",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm about it was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="redactionrule",
            name="event_type",
            field=models.CharField(
                blank=True,
                help_text="Only in events of this type (blank = all); gateway.* means all types that begin with "
                "gateway.",
                max_length=100,
            ),
        ),
        migrations.AlterField(
            model_name="redactionrule",
            name="method",
            field=models.CharField(
                choices=[("remove", "remove"), ("digest", "digest"), ("mask", "mask")],
                help_text="remove: no value; digest: equal values of a bundle become the same code; mask: one letter "
                "is left.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="redactionrule",
            name="name",
            field=models.CharField(
                help_text="Appears in bundles and records; cannot be changed later.",
                max_length=50,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9][a-z0-9-]*\\Z", "Use lower-case letters, digits and '-'."
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="redactionrule",
            name="path",
            field=models.CharField(
                help_text="A field such as actor_ip or event_data.user.email; * is any one name, ** any number of "
                "levels.",
                max_length=500,
            ),
        ),
        migrations.AlterField(
            model_name="redactionrule",
            name="reason",
            field=models.TextField(
                help_text="The law or duty that requires it. It appears in the bundle.", max_length=1000
            ),
        ),
        migrations.AlterField(
            model_name="rejection",
            name="life",
            field=models.CharField(
                blank=True,
                help_text="Which count in Redis this is; blank if counted by the store itself.",
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="report",
            name="beside",
            field=models.JSONField(
                help_text="Figures that no checkpoint fixes, as they were when the report was made.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="report",
            name="checkpoint",
            field=models.BigIntegerField(help_text="The number of the checkpoint that the report is based on."),
        ),
        migrations.AlterField(
            model_name="report",
            name="done",
            field=models.IntegerField(default=0, help_text="How many sections are finished."),
        ),
        migrations.AlterField(
            model_name="report",
            name="sight",
            field=models.JSONField(default=list, help_text="What the requester may see (empty = everything)."),
        ),
        migrations.AlterField(
            model_name="review",
            name="exceptions",
            field=models.BigIntegerField(help_text="How many exceptions the page showed when it was signed."),
        ),
        migrations.AlterField(
            model_name="review",
            name="number",
            field=models.IntegerField(help_text="1 is the signature; later ones are countersignatures."),
        ),
        migrations.AlterField(
            model_name="rhythm",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm about its silence was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="rightsrequest",
            name="asked_at",
            field=models.DateTimeField(verbose_name="requested at"),
        ),
        migrations.AlterField(
            model_name="rightsrequest",
            name="asked_by",
            field=models.CharField(max_length=150, verbose_name="requested by"),
        ),
        migrations.AlterField(
            model_name="rightsrequest",
            name="subject",
            field=models.CharField(help_text="The writer or person who would get the rights.", max_length=150),
        ),
        migrations.AlterField(
            model_name="savedview",
            name="owner",
            field=models.CharField(
                blank=True, help_text="The owner (blank if it came with a set of controls).", max_length=150
            ),
        ),
        migrations.AlterField(
            model_name="savedview",
            name="query",
            field=models.CharField(help_text="The query, as typed in the search.", max_length=2000),
        ),
        migrations.AlterField(
            model_name="savedview",
            name="why",
            field=models.CharField(blank=True, help_text="What the search is for.", max_length=300),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="began_by",
            field=models.UUIDField(help_text="The record that started the wait.", null=True),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="came",
            field=models.BigIntegerField(default=0, help_text="How many arrived, for rules that count."),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="met_at",
            field=models.DateTimeField(help_text="The event time of the event that met it late.", null=True),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="met_by",
            field=models.UUIDField(help_text="The record that met it late.", null=True),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="unmet",
            name="wanted",
            field=models.TextField(help_text="What was expected, in words, by the rule of that time."),
        ),
        migrations.AlterField(
            model_name="verification",
            name="counts",
            field=models.JSONField(default=dict, help_text="How many of each kind were checked."),
        ),
        migrations.AlterField(
            model_name="verification",
            name="first",
            field=models.BigIntegerField(default=0, help_text="The first log entry that is checked."),
        ),
        migrations.AlterField(
            model_name="verification",
            name="ids_position",
            field=models.UUIDField(
                db_default=uuid.UUID("00000000-0000-0000-0000-000000000000"),
                help_text="Records up to this id were checked for a log entry.",
            ),
        ),
        migrations.AlterField(
            model_name="verification",
            name="last",
            field=models.BigIntegerField(default=0, help_text="The log entry after the last one that is checked."),
        ),
        migrations.AlterField(
            model_name="verification",
            name="position",
            field=models.BigIntegerField(default=0, help_text="The log entry that is checked next."),
        ),
        migrations.AlterField(
            model_name="waiver",
            name="correlation",
            field=models.CharField(
                blank=True,
                help_text="Only this correlation (blank = any); order-* means all that begin with order-.",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="waiver",
            name="writer",
            field=models.CharField(blank=True, help_text="Only this writer (blank = any).", max_length=100),
        ),
        migrations.AlterField(
            model_name="writer",
            name="is_lenient",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Accept its invalid events and keep them in the dead letter queue for a person to correct, "
                "instead of rejecting them: for clients that drop rejected events and cannot send Prefer: "
                "handling=lenient.",
                verbose_name="keep invalid events",
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="name",
            field=models.CharField(
                help_text="Appears in every record of this writer; cannot be changed later.",
                max_length=100,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9][a-z0-9._-]*\\Z", "Use lower-case letters, digits, '.', '_' and '-'."
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="quota_bytes",
            field=models.BigIntegerField(
                blank=True,
                help_text="Bytes of requests with events, per UTC day (blank = no limit).",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="quota_epochs",
            field=models.BigIntegerField(
                blank=True,
                help_text="Different source_epoch values per UTC day (blank = no limit).",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="quota_events",
            field=models.BigIntegerField(
                blank=True,
                help_text="Events per UTC day (blank = no limit).",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="quota_exports",
            field=models.BigIntegerField(
                blank=True,
                help_text="Evidence bundles requested per UTC day, including those of statements and reports (blank = "
                "no limit).",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="quota_manifests",
            field=models.BigIntegerField(
                blank=True,
                help_text="Manifests still waiting for some of their events (blank = no limit).",
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="reads_categories",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                default=list,
                help_text="Limit read access to records of these categories (blank = all). Commas between.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="writer",
            name="reads_writers",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                default=list,
                help_text="Limit read access to records of these writers (blank = all). Commas between.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="writerkey",
            name="prefix",
            field=models.CharField(help_text="The first characters of the key, to tell keys apart.", max_length=16),
        ),
        migrations.AlterField(
            model_name="writerkey",
            name="subject",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The subject of tokens of JWT_ISSUER, where the writer uses tokens instead of a key.",
                max_length=500,
            ),
        ),
        migrations.AlterField(
            model_name="writerkey",
            name="used_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When a request last used this key, to the minute.",
                null=True,
                verbose_name="last used",
            ),
        ),
    ]
