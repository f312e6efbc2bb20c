"""The settings of a replica of PostgreSQL that pages and exports read from."""

from collections.abc import Callable
from typing import Any

from auditsite import postgres_address
from auditsite.readers import env, secret

URL = secret("DATABASE_REPLICA_URL", "")
# Pages read the primary where the replica may be further behind.
MAX_LAG_S = env.float("REPLICA_MAX_LAG_S", 10.0)
# Exports wait so long for a replica to have what the primary has, then they read the primary.
WAIT_S = env.float("REPLICA_WAIT_S", 5.0)


def databases(database: Callable[[str, int], dict[str, Any]], statement_timeout_ms: int) -> dict[str, dict[str, Any]]:
    """Django's settings for it, as of the other databases; none without an address."""
    return {"replica": database(postgres_address.REPLICA, statement_timeout_ms)} if URL else {}
