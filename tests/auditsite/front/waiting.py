"""The site's handler, and a call that waits until a file is there: it holds the thread that has it."""

import time
from pathlib import Path
from typing import Any

from django.http import HttpResponse

from auditsite.wsgi import application as site


def application(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"] != "/wait":
        return site(environ, start_response)
    while not Path(environ["QUERY_STRING"]).exists():
        time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return HttpResponse(b"waited")
