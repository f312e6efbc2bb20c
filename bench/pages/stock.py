"""Django's own admin over the same records, as one would set it up: what the pages are measured beside."""

from typing import Any

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from audit.models import Record


class StockSite(admin.AdminSite):
    """Django's own site. Its frame is ours, for it has the name, and links to pages that this site lacks."""

    def get_urls(self) -> list[Any]:
        ours = [path(f"{name}/", RedirectView.as_view(pattern_name=f"admin:{name}"), name=name) for name in OF_FRAME]
        return ours + super().get_urls()


OF_FRAME = ("find", "help", "audit_parked_pause")
site = StockSite(name="stock")


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
