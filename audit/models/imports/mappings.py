"""Mappings are files: their list has no table."""

from django.db import models


class ImportMapping(models.Model):
    """A mapping of the events of a source, as a page shows it."""

    name = models.CharField(max_length=14, primary_key=True)

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("try_importmapping", "Can try a mapping on a sample"),)
        verbose_name = "mapping"

    def __str__(self) -> str:
        return self.name
