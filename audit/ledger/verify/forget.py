"""forget: remove the rows of old runs that found nothing. What a person asked for, and what was found, are records."""

from datetime import UTC, datetime, timedelta

from django.conf import settings

from audit.postgres import sql


def forget() -> int:
    """Remove a portion of the runs that ended VERIFICATION_DAYS ago and found nothing; return how many.

    PostgreSQL decides which (audit/sql/0098_forgottenruns.sql): the application may remove none by itself. What a
    report read stays, and of each day it is counted what did not.
    """
    before = datetime.now(UTC) - timedelta(days=settings.VERIFICATION_DAYS)
    [(forgotten,)] = sql.rows("SELECT audit_forget_verifications(%s)", [before])
    return int(forgotten)
