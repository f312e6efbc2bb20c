"""The paths below /api/v1/audit/."""

from uuid import UUID

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from audit.api import (
    accounting,
    completeness,
    events,
    ledger,
    legal_holds,
    receipts,
    reports,
    schemas,
)
from audit.api.evidence import erasure, exports, statements
from audit.api.imports import any_source, cloudevents, kubernetes, otlp
from audit.api.upstream import notifications, refused
from audit.formats import spellings


class AnyText(StringConverter):
    """Any text, also with slashes and newlines: a correlation id may have them."""

    regex = r"(?s:.+)"


class UuidConverter:
    """A UUID in any spelling: who sent an event finds it by the text that they sent."""

    regex = spellings.UUID_PATTERN

    def to_python(self, value: str) -> UUID:
        return spellings.read_uuid(value)

    def to_url(self, value: UUID) -> str:
        return str(value)


register_converter(UuidConverter, "any_uuid")
register_converter(AnyText, "any_text")

urlpatterns = [
    path("events", events.EventsView.as_view(), name="events"),
    path("events/batch", events.BatchView.as_view(), name="events-batch"),
    path("events/<any_uuid:event_id>", events.EventView.as_view(), name="event"),
    path("events/<any_uuid:event_id>/proof", ledger.ProofView.as_view(), name="event-proof"),
    path("events/<any_uuid:event_id>/bundle", ledger.RecordBundleView.as_view(), name="event-bundle"),
    path("notifications", notifications.NotificationsView.as_view(), name="notifications"),
    path(
        "remediation-requests/<any_text:correlation_id>/reconstruct",
        refused.ReconstructView.as_view(),
        name="refused-reconstruct",
    ),
    path("import/kubernetes", kubernetes.KubernetesView.as_view(), name="import-kubernetes"),
    path("import/cloudevents", cloudevents.CloudEventsView.as_view(), name="import-cloudevents"),
    path("import/otlp/v1/logs", otlp.OtlpView.as_view(), name="import-otlp"),
    path("import/<slug:source>", any_source.SourceView.as_view(), name="import"),
    path("heartbeats", completeness.HeartbeatsView.as_view(), name="heartbeats"),
    path("manifests", completeness.ManifestsView.as_view(), name="manifests"),
    path("manifests/<str:key>", completeness.ManifestView.as_view(), name="manifest"),
    path("receipts/verify", receipts.ReceiptsVerifyView.as_view(), name="receipts-verify"),
    path("receipts/keys", receipts.ReceiptKeysView.as_view(), name="receipts-keys"),
    path("export", exports.ExtractView.as_view(), name="extract"),
    path("exports", exports.ExportsView.as_view(), name="exports"),
    path("exports/<any_uuid:export_id>", exports.ExportView.as_view(), name="export"),
    path("exports/<any_uuid:export_id>/cancel", exports.CancelView.as_view(), name="export-cancel"),
    path("exports/<any_uuid:export_id>/resume", exports.ResumeView.as_view(), name="export-resume"),
    path("exports/<any_uuid:export_id>/files/<path:name>", exports.FileView.as_view(), name="export-file"),
    path("legal-hold", legal_holds.HoldsView.as_view(), name="legal-holds"),
    path("legal-hold/<any_text:correlation_id>", legal_holds.HoldView.as_view(), name="legal-hold"),
    path("erasures", erasure.ErasuresView.as_view(), name="erasures"),
    path("erasures/<int:number>", erasure.ErasureView.as_view(), name="erasure"),
    path("schemas", schemas.SchemasView.as_view(), name="schemas"),
    path("schemas/<str:event_type>", schemas.RevisionsView.as_view(), name="schema-revisions"),
    path("schemas/<str:event_type>/<int:revision>", schemas.RevisionView.as_view(), name="schema-revision"),
    path("reports", reports.ReportsView.as_view(), name="reports"),
    path("reports/<any_uuid:report_id>", reports.ReportView.as_view(), name="report"),
    path("reports/<any_uuid:report_id>/files/<str:name>", reports.ReportFileView.as_view(), name="report-file"),
    path("reports/<any_uuid:report_id>/bundle", reports.ReportBundleView.as_view(), name="report-bundle"),
    path("statements", statements.StatementsView.as_view(), name="statements"),
    path("statements/<any_uuid:statement_id>", statements.StatementView.as_view(), name="statement"),
    path(
        "statements/<any_uuid:statement_id>/bundle", statements.StatementBundleView.as_view(), name="statement-bundle"
    ),
    path("account", accounting.AccountView.as_view(), name="account"),
    path("checkpoint", ledger.CheckpointView.as_view(), name="checkpoint"),
    path("checkpoint/keys", ledger.KeysView.as_view(), name="checkpoint-keys"),
    path("checkpoints", ledger.CheckpointsView.as_view(), name="checkpoints"),
    path("consistency", ledger.ConsistencyView.as_view(), name="consistency"),
    path("tile/entries/<path:address>", ledger.EntriesView.as_view(), name="entries"),
    path("tile/<int:level>/<path:address>", ledger.TileView.as_view(), name="tile"),
    path("log/entries", ledger.LogEntriesView.as_view(), name="log-entries"),
    path("verify-chain", ledger.VerifyChainView.as_view(), name="verify-chain"),
]
