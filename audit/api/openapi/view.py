"""The description of the API, for everybody. To make and to write it takes seconds: each form is made once a process.

Anybody may ask for it, without a key, and as often as they like.
"""

import threading
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_making = threading.Lock()
_made: dict[type, tuple[bytes, dict[str, str]]] = {}


class SchemaView(SpectacularAPIView):
    """YAML, or JSON where that is asked for."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        # By the form, not by what was asked for: a client may ask for a form with any parameters.
        form = type(request.accepted_renderer)
        if form not in _made:
            with _making:  # who comes meanwhile waits for it, and does not make it as well
                if form not in _made:
                    _made[form] = self._make(request)
        content, headers = _made[form]
        return HttpResponse(content, headers=headers)

    def _get_version_parameter(self, request: Request) -> None:
        """There is one version. What somebody gives as another would stand in the description that everybody gets."""

    def _make(self, request: Request) -> tuple[bytes, dict[str, str]]:
        """Write the description as DRF would, and return it with its headers."""
        response: Any = self._get_schema_response(request)  # type: ignore[no-untyped-call]
        response.accepted_renderer = request.accepted_renderer
        response.accepted_media_type = request.accepted_renderer.media_type
        response.renderer_context = self.get_renderer_context()
        content: bytes = response.render().content
        return content, {name: response.headers[name] for name in ("Content-Type", "Content-Disposition")}
