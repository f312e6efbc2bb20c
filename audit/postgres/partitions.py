"""Make the partitions of the months to come."""

from django.conf import settings
from django.db import connections


def make() -> int:
    """Make those of the next PARTITIONS_AHEAD months; return how many are new."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT audit_make_partitions(%s)", [settings.PARTITIONS_AHEAD])
        return int(cursor.fetchone()[0])
