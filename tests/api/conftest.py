"""The cast of the tests of the API: that of the tests of audit."""

from tests.audit.conftest import closed_breaker, reader, service, writer

EXPORTS = "/api/v1/audit/exports"


__all__ = ["closed_breaker", "reader", "service", "writer"]
