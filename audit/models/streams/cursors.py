"""The targets of streams: how far each has taken the log."""

from django.db import models


class Stream(models.Model):
    """A target that the log is streamed to, and its cursor. Secrets are in `streams.toml` alone, never here."""

    SAMPLES, SAMPLE_MINUTES = 144, 10
    REFUSALS = 20

    name = models.CharField(max_length=60, primary_key=True)
    kind = models.CharField(max_length=20, help_text="What it is: file, http, splunk, elastic, syslog ...")
    place = models.CharField(max_length=500, help_text="Where it is, without secrets.")
    unredacted = models.BooleanField(default=False, help_text="Whether rules of redaction are not applied.")
    position = models.BigIntegerField(default=0, help_text="The log entry that it is given next: it has all before.")
    records = models.BigIntegerField(default=0, help_text="Records that it has taken.")
    bytes = models.BigIntegerField(default=0, help_text="Their bytes.")
    begun_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True, help_text="When it last took something.")
    seen_at = models.DateTimeField(null=True, help_text="When a streamer last worked on it.")
    holder = models.UUIDField(null=True, help_text="The streamer that may move the cursor.")
    problem = models.TextField(blank=True, help_text="Why it does not go on; empty while it does.")
    problem_since = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When the alarm about it was told.")
    refused = models.BigIntegerField(default=0, help_text="Records in whose place it was given a reference.")
    refusals = models.JSONField(default=list, help_text="The newest of them, and why.")
    samples = models.JSONField(default=list, help_text="Its lag over time: when, and in records.")
    ended_at = models.DateTimeField(null=True, help_text="When an operator ended it.")

    class Meta:
        db_table = "audit_stream"
        default_permissions = ("view",)
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
