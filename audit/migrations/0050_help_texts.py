"""Help texts in plain words: state alone, no SQL."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0046_stray"),
    ]

    operations = [
        migrations.AlterField(
            model_name="account",
            name="queued",
            field=models.BigIntegerField(
                default=0, help_text="Stored after waiting in the dead letter queue (parked_at is set)."
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="spooled",
            field=models.BigIntegerField(default=0, help_text="Stored from the local spool, without the queue."),
        ),
        migrations.AlterField(
            model_name="auditorscope",
            name="categories",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                default=list,
                help_text="Limit to records of these categories (blank = all). Commas between.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="auditorscope",
            name="writers",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                default=list,
                help_text="Limit to records of these writers (blank = all). Commas between.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="awaited",
            name="key",
            field=models.CharField(
                help_text="Distinguishes it from others of the same rule and subject.", max_length=40
            ),
        ),
        migrations.AlterField(
            model_name="awaited",
            name="ripe_at",
            field=models.DateTimeField(help_text="When it is due and can be judged."),
        ),
        migrations.AlterField(
            model_name="brokenpromise",
            name="promised",
            field=models.CharField(help_text="The state that the receipt promised.", max_length=10),
        ),
        migrations.AlterField(
            model_name="brokenpromise",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="dayrecord",
            name="part",
            field=models.IntegerField(help_text="Starts at 1; a day with many writers takes several records."),
        ),
        migrations.AlterField(
            model_name="dayrecord",
            name="version",
            field=models.IntegerField(help_text="Starts at 1; each later version corrects the one before."),
        ),
        migrations.AlterField(
            model_name="discard",
            name="asked_at",
            field=models.DateTimeField(verbose_name="requested at"),
        ),
        migrations.AlterField(
            model_name="discard",
            name="asked_by",
            field=models.CharField(max_length=150, verbose_name="requested by"),
        ),
        migrations.AlterField(
            model_name="expectation",
            name="first_leaf",
            field=models.BigIntegerField(
                default=0, editable=False, help_text="The first log entry that the rule applies to."
            ),
        ),
        migrations.AlterField(
            model_name="expectation",
            name="met",
            field=models.BigIntegerField(default=0, editable=False, help_text="How often the rule was met."),
        ),
        migrations.AlterField(
            model_name="expectation",
            name="name",
            field=models.CharField(
                help_text="Appears in records and alarms; cannot be changed later.",
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
            model_name="expectation",
            name="next_day",
            field=models.DateField(editable=False, help_text="The first day that has not been judged yet.", null=True),
        ),
        migrations.AlterField(
            model_name="expectation",
            name="why",
            field=models.TextField(help_text="Why these events must arrive.", max_length=1000),
        ),
        migrations.AlterField(
            model_name="export",
            name="by_service",
            field=models.BooleanField(
                default=False, help_text="Whether a service requested it by its key, not a person."
            ),
        ),
        migrations.AlterField(
            model_name="export",
            name="bytes",
            field=models.BigIntegerField(default=0, help_text="Size of the zip file."),
        ),
        migrations.AlterField(
            model_name="export",
            name="checkpoint",
            field=models.BigIntegerField(help_text="The number of the checkpoint that all proofs refer to."),
        ),
        migrations.AlterField(
            model_name="export",
            name="done",
            field=models.BigIntegerField(default=0, help_text="Records in finished volumes."),
        ),
        migrations.AlterField(
            model_name="export",
            name="first",
            field=models.BigIntegerField(default=0, help_text="The first log entry of a range."),
        ),
        migrations.AlterField(
            model_name="export",
            name="last",
            field=models.BigIntegerField(default=0, help_text="The log entry after the last one of a range."),
        ),
        migrations.AlterField(
            model_name="export",
            name="population",
            field=models.BigIntegerField(help_text="How many records the sample is drawn from.", null=True),
        ),
        migrations.AlterField(
            model_name="export",
            name="query",
            field=models.TextField(
                blank=True, help_text="A query as in the search; a span such as 7d counts back from the request."
            ),
        ),
        migrations.AlterField(
            model_name="export",
            name="received",
            field=models.JSONField(
                help_text="The times between which the records of the range were received, and how many there are.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="export",
            name="redaction",
            field=models.JSONField(
                default=list, help_text="The rules in force at the request (empty = nothing is redacted)."
            ),
        ),
        migrations.AlterField(
            model_name="export",
            name="sample",
            field=models.IntegerField(help_text="Sample size (blank = all).", null=True),
        ),
        migrations.AlterField(
            model_name="export",
            name="seed",
            field=models.CharField(blank=True, help_text="The random seed of the sample.", max_length=100),
        ),
        migrations.AlterField(
            model_name="export",
            name="sight",
            field=models.JSONField(default=list, help_text="What the requester may see (empty = everything)."),
        ),
        migrations.AlterField(
            model_name="export",
            name="total",
            field=models.BigIntegerField(help_text="How many records it will hold, once known.", null=True),
        ),
        migrations.AlterField(
            model_name="export",
            name="unredacted",
            field=models.BooleanField(default=False, help_text="Whether it was requested without redaction."),
        ),
        migrations.AlterField(
            model_name="export",
            name="volumes",
            field=models.JSONField(default=list, help_text="The finished volumes, with sizes and hashes."),
        ),
        migrations.AlterField(
            model_name="finding",
            name="run",
            field=models.ForeignKey(
                help_text="The run that saw it last.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="findings",
                to="audit.verification",
            ),
        ),
        migrations.AlterField(
            model_name="finding",
            name="subject",
            field=models.CharField(
                help_text="The kind of thing with the fault: record, leaf, node, checkpoint ...", max_length=20
            ),
        ),
        migrations.AlterField(
            model_name="followed",
            name="batch",
            field=models.PositiveIntegerField(db_default=20000, help_text="How many log entries the next step reads."),
        ),
        migrations.AlterField(
            model_name="followed",
            name="followed_at",
            field=models.DateTimeField(help_text="Everything stored before this time has been read.", null=True),
        ),
        migrations.AlterField(
            model_name="gap",
            name="after_at",
            field=models.DateTimeField(
                help_text="The event time of the number before: the missing events were made after it.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="gap",
            name="before_at",
            field=models.DateTimeField(
                help_text="The event time of the number after: the missing events were made before it."
            ),
        ),
        migrations.AlterField(
            model_name="gap",
            name="first",
            field=models.BigIntegerField(help_text="The first missing number when the gap was detected."),
        ),
        migrations.AlterField(
            model_name="gap",
            name="last_late_at",
            field=models.DateTimeField(help_text="When the last of them arrived late.", null=True),
        ),
        migrations.AlterField(
            model_name="gap",
            name="missing",
            field=models.BigIntegerField(help_text="How many are still missing."),
        ),
        migrations.AlterField(
            model_name="gap",
            name="tail",
            field=models.BooleanField(
                default=False, help_text="Reported by a heartbeat: no later event has arrived yet."
            ),
        ),
        migrations.AlterField(
            model_name="gap",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="waiting_seq",
            field=models.BigIntegerField(help_text="An earlier number that is still too recent to judge.", null=True),
        ),
        migrations.AlterField(
            model_name="hourcount",
            name="failures",
            field=models.BigIntegerField(default=0, help_text="Events with the outcome failure."),
        ),
        migrations.AlterField(
            model_name="hourcount",
            name="parked",
            field=models.BigIntegerField(default=0, help_text="Events that came through the dead letter queue."),
        ),
        migrations.AlterField(
            model_name="loss",
            name="lost",
            field=models.BigIntegerField(help_text="How many events were lost when the explanation was given."),
        ),
        migrations.AlterField(
            model_name="loss",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="manifest",
            name="surplus",
            field=models.BigIntegerField(default=0, help_text="Events that arrived beyond the stated number."),
        ),
        migrations.AlterField(
            model_name="manifest",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="missedreview",
            name="told_at",
            field=models.DateTimeField(help_text="When the alarm was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="numbering",
            name="highest",
            field=models.BigIntegerField(
                default=0, help_text="All numbers up to this one arrived, except those that the gaps list."
            ),
        ),
        migrations.AlterField(
            model_name="numbering",
            name="highest_at",
            field=models.DateTimeField(help_text="The event time of the event with that number.", null=True),
        ),
        migrations.AlterField(
            model_name="numbering",
            name="reused",
            field=models.BigIntegerField(default=0, help_text="Events with a number that another event already had."),
        ),
        migrations.AlterField(
            model_name="numbering",
            name="reused_first",
            field=models.JSONField(default=list, help_text="The first of them: number and record id."),
        ),
        migrations.AlterField(
            model_name="outboxalarm",
            name="taken_by",
            field=models.JSONField(default=list, help_text="The ways (e-mail, webhook) that already delivered it."),
        ),
        migrations.AlterField(
            model_name="passage",
            name="again",
            field=models.BigIntegerField(default=0, help_text="How many of them came back from the quarantine."),
        ),
        migrations.AlterField(
            model_name="passage",
            name="first",
            field=models.CharField(
                help_text="The stream id of the first. A Redis that lost it starts a new count.", max_length=50
            ),
        ),
    ]
