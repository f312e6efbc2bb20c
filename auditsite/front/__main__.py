"""`python -m auditsite.front`: see the package."""

import argparse
import os
import sys

from auditsite.front import bounds
from auditsite.front.gate import Gate


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="python -m auditsite.front")
    parser.add_argument("--role", choices=("site", "ingest"), default="site", help="everything, or writes only")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=bounds.processes(), help="processes; one a core")
    parser.add_argument("--threads", type=int, default=8, help="threads of each that may wait for a server")
    parser.add_argument("application", nargs="?", default="auditsite.wsgi:application")
    return parser


def main() -> int:
    """Serve until told to stop."""
    options = parser().parse_args()
    os.environ["ROLE"] = options.role
    from auditsite import settings

    gate = Gate(
        (options.host, options.port),
        options.application,
        workers=options.workers,
        threads=options.threads,
        # Behind proxies of ours every connection is theirs; they bound their clients.
        per_address=0 if settings.PROXY_HOPS else settings.CONNECTIONS_PER_ADDRESS,
        # Pages take long, and may be at work wherever there is room: writers must not wait beside them.
        stay=options.role == "ingest",
    )
    gate.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
