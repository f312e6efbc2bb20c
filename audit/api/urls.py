"""The paths below /api/v1/audit/."""

from django.urls import path

from audit.api import views

urlpatterns = [
    path("events", views.EventsView.as_view(), name="events"),
    path("events/batch", views.BatchView.as_view(), name="events-batch"),
    path("events/<uuid:event_id>", views.EventView.as_view(), name="event"),
]
