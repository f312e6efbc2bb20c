"""The quotas of a writer that are counted in PostgreSQL: open manifests, and exports of a day."""

from datetime import UTC, datetime, timedelta

from rest_framework.request import Request

from audit.access.api_keys import Principal
from audit.api.throttles import over
from audit.models import Export, Manifest

MANIFEST_WAIT_S = 60.0


def check_manifests(request: Request) -> None:
    """Raise `Throttled` where the writer has as many open manifests as it may."""
    most = _principal(request).quotas.manifests
    if most is not None and (opened := open_manifests(_principal(request).name)) >= most:
        raise over("quota of open manifests", MANIFEST_WAIT_S, max(most - opened, 0))


def check_exports(request: Request) -> None:
    """Raise `Throttled` where the writer has asked for as many exports on this UTC day as it may."""
    most = _principal(request).quotas.exports
    if most is not None and (asked := exports_today(_principal(request).name)) >= most:
        now = datetime.now(UTC)
        raise over("quota of exports", (_midnight(now) + timedelta(days=1) - now).total_seconds(), max(most - asked, 0))


def open_manifests(writer: str) -> int:
    return Manifest.objects.filter(writer=writer, closed_at=None).count()


def exports_today(writer: str) -> int:
    today = _midnight(datetime.now(UTC))
    return Export.objects.filter(requested_by=writer, by_service=True, requested_at__gte=today).count()


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _principal(request: Request) -> Principal:
    assert isinstance(request.user, Principal)  # the view's permission has seen to it
    return request.user
