"""The paths below /api/v1/audit/."""

from django.urls import path

from audit.api import (
    account_views,
    completeness_views,
    export_views,
    hold_views,
    log_views,
    receipt_views,
    statement_views,
    views,
)

urlpatterns = [
    path("events", views.EventsView.as_view(), name="events"),
    path("events/batch", views.BatchView.as_view(), name="events-batch"),
    path("events/<uuid:event_id>", views.EventView.as_view(), name="event"),
    path("events/<uuid:event_id>/proof", log_views.ProofView.as_view(), name="event-proof"),
    path("events/<uuid:event_id>/bundle", log_views.BundleView.as_view(), name="event-bundle"),
    path("heartbeats", completeness_views.HeartbeatsView.as_view(), name="heartbeats"),
    path("manifests", completeness_views.ManifestsView.as_view(), name="manifests"),
    path("manifests/<str:key>", completeness_views.ManifestView.as_view(), name="manifest"),
    path("receipts/verify", receipt_views.ReceiptsVerifyView.as_view(), name="receipts-verify"),
    path("receipts/keys", receipt_views.ReceiptKeysView.as_view(), name="receipts-keys"),
    path("export", export_views.ExtractView.as_view(), name="extract"),
    path("exports", export_views.ExportsView.as_view(), name="exports"),
    path("exports/<uuid:export_id>", export_views.ExportView.as_view(), name="export"),
    path("exports/<uuid:export_id>/cancel", export_views.CancelView.as_view(), name="export-cancel"),
    path("exports/<uuid:export_id>/resume", export_views.ResumeView.as_view(), name="export-resume"),
    path("exports/<uuid:export_id>/files/<path:name>", export_views.FileView.as_view(), name="export-file"),
    path("legal-hold", hold_views.HoldsView.as_view(), name="legal-holds"),
    path("legal-hold/<path:correlation_id>", hold_views.HoldView.as_view(), name="legal-hold"),
    path("statements", statement_views.StatementsView.as_view(), name="statements"),
    path("statements/<uuid:statement_id>", statement_views.StatementView.as_view(), name="statement"),
    path("statements/<uuid:statement_id>/bundle", statement_views.BundleView.as_view(), name="statement-bundle"),
    path("account", account_views.AccountView.as_view(), name="account"),
    path("checkpoint", log_views.CheckpointView.as_view(), name="checkpoint"),
    path("checkpoint/keys", log_views.KeysView.as_view(), name="checkpoint-keys"),
    path("checkpoints", log_views.CheckpointsView.as_view(), name="checkpoints"),
    path("consistency", log_views.ConsistencyView.as_view(), name="consistency"),
    path("tile/entries/<path:address>", log_views.EntriesView.as_view(), name="entries"),
    path("tile/<int:level>/<path:address>", log_views.TileView.as_view(), name="tile"),
    path("verify-chain", log_views.VerifyChainView.as_view(), name="verify-chain"),
]
