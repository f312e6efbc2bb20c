"""What the processes of ingest serve: what writers send, and probes. The views are the site's."""

from django.urls import path

from audit import health
from audit.api import completeness, events, problems, receipts
from audit.api.imports import any_source, cloudevents, kubernetes, otlp
from audit.api.upstream import notifications

handler404 = problems.not_found
handler500 = problems.server_error

SENDS = ["post", "options"]
"""Reading, which may take long, is left to the site."""

API = "api/v1/audit/"
urlpatterns = [
    path(f"{API}events", events.EventsView.as_view(http_method_names=SENDS), name="events"),
    path(f"{API}events/batch", events.BatchView.as_view(http_method_names=SENDS), name="events-batch"),
    path(f"{API}notifications", notifications.NotificationsView.as_view(http_method_names=SENDS), name="notifications"),
    path(f"{API}import/kubernetes", kubernetes.KubernetesView.as_view(), name="import-kubernetes"),
    path(f"{API}import/cloudevents", cloudevents.CloudEventsView.as_view(), name="import-cloudevents"),
    path(f"{API}import/otlp/v1/logs", otlp.OtlpView.as_view(), name="import-otlp"),
    path(f"{API}import/<slug:source>", any_source.SourceView.as_view(), name="import"),
    path(f"{API}heartbeats", completeness.HeartbeatsView.as_view(http_method_names=SENDS), name="heartbeats"),
    path(f"{API}manifests", completeness.ManifestsView.as_view(http_method_names=SENDS), name="manifests"),
    path(f"{API}receipts/verify", receipts.ReceiptsVerifyView.as_view(), name="receipts-verify"),
    path(f"{API}receipts/keys", receipts.ReceiptKeysView.as_view(), name="receipts-keys"),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
