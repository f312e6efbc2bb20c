"""Django's own admin over the same records, as one would set it up: what the pages are measured beside."""

from django.contrib import admin

from audit.models import Record

site = admin.AdminSite(name="stock")


class StockRecord(Record):
    """The same rows under another name, so that the templates of our pages are left out."""

    class Meta:
        proxy = True
        app_label = "audit"


@admin.register(StockRecord, site=site)
class StockRecords(admin.ModelAdmin):  # type: ignore[type-arg]
    """The usual options, none of them tuned."""

    list_display = ("event_timestamp", "event_type", "actor_id", "resource_id", "event_outcome", "severity", "writer")
    list_filter = ("event_outcome", "severity")
    search_fields = ("actor_id", "resource_id", "event_data")
