"""The rate limit of a writer (WRITER_RATE)."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class WriterThrottle(SimpleRateThrottle):
    """Counts in the cache. While the cache is down nothing is throttled: no event may be refused for that."""

    scope = "writer"

    def get_rate(self) -> str:
        return str(settings.WRITER_RATE)

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        return self.cache_format % {"scope": self.scope, "ident": getattr(request.user, "name", "")}
