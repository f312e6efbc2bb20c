"""addresses: can the files of TLS that addresses of PostgreSQL name be read, and is it known who answers there?

System checks of what web processes and workers connect by; the owner's files may be where migrations run alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

VARIABLES = {"default": "DATABASE_URL", "reader": "DATABASE_READER_URL"}
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# The system's own authorities; a key that a module of OpenSSL keeps.
NO_FILE = ("system", "engine:", "pkcs11:")
PAIRS = {"sslcert": "sslkey", "sslkey": "sslcert"}


def addresses(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Look at the addresses, and ask no server."""
    if not databases:
        return []
    return [message for alias, variable in VARIABLES.items() for message in _of_tls(variable, _options(alias))]


def _options(alias: str) -> dict[str, Any]:
    options: dict[str, Any] = settings.DATABASES[alias]["OPTIONS"]
    return options | {"host": settings.DATABASES[alias]["HOST"] or options.get("host", "")}


def _of_tls(variable: str, options: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in FILES:
        file = str(options.get(name, ""))
        if file and not file.startswith(NO_FILE) and not (Path(file).is_file() and os.access(file, os.R_OK)):
            yield Error(
                f"{variable} has {name}={file}, which is no file that this process may read.",
                hint="Mount it, and give it to the user that the site runs as.",
                id="audit.E030",
            )
        if name in PAIRS and file and not options.get(PAIRS[name]):
            yield Error(
                f"{variable} has {name} and no {PAIRS[name]}.",
                hint="A client's certificate and its key belong together: name both files, or none.",
                id="audit.E030",
            )
    if options.get("sslmode") == "require" and not options.get("sslrootcert"):
        yield Warning(
            f"{variable} has sslmode=require and no sslrootcert: what answers there may be anybody.",
            hint="Set sslmode=verify-full, and in sslrootcert the file of the authority of the server's certificate.",
            id="audit.W030",
        )
