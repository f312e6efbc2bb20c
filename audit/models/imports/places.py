"""How far a file was imported, while it is not imported to its end."""

from django.db import models


class ImportPlace(models.Model):
    """The place up to which the events of a file were taken: the next run goes on there. It goes at the file's end."""

    key = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of writer, mapping and path.")
    offset = models.BigIntegerField(help_text="Bytes of the file, unzipped, that were taken.")
    line = models.BigIntegerField()
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of these bytes: nothing of another file is passed over."
    )
    state = models.JSONField(help_text="What else a reader has to know to go on.")
    saved_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("saved_at",), name="audit_importplace_saved"),)

    def __str__(self) -> str:
        return f"byte {self.offset}"
