"""The base of every view of the API, and of answers that have only one form."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.errors import Invalid
from audit.models import Export, Report
from audit.postgres import gateway
from audit.tasks import enqueue

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"


class ApiRequest(Request):
    """A request whose body, where it says that it is JSON and nothing else, is handed to the parser at once."""

    def _load_data_and_files(self) -> None:
        if self.content_type != JSON or self._request.META.get("CONTENT_LENGTH") in (None, "", "0"):
            super()._load_data_and_files()  # type: ignore[misc]
            return
        body: Any = self._request
        (parser,) = self.parsers or ()
        try:
            self._data = parser.parse(body, JSON, self.parser_context)
        except Exception:
            self._data = QueryDict()  # as the base has it: what is wrong is found once
            raise
        finally:
            self._files: MultiValueDict[str, Any] = MultiValueDict()
            self._full_data = self._data


class Answer(HttpResponse):
    """JSON that has one form."""

    def __init__(self, body: dict[str, Any], status: int):
        super().__init__(msgspec.json.encode(body), content_type=JSON, status=status)


class IgnoreAccept(DefaultContentNegotiation):
    """The view decides on the form of its answer, whatever the client asks for: no write is refused for that."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view that answers 503 at once while PostgreSQL is known to be down, where its method needs PostgreSQL."""

    content_negotiation_class: type[BaseContentNegotiation] = IgnoreAccept
    # The scope of the key that each method needs, or several of which one is enough.
    scopes: ClassVar[dict[str, str | tuple[str, ...]]] = {}
    # The methods that also answer without PostgreSQL.
    works_without_postgres: ClassVar[tuple[str, ...]] = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and let go of what was sent once the answer is written.

        View, request and answer refer to each other. What was sent, up to some megabytes, would stay until the
        collector of garbage comes, and that stops every thread of the process for as long as it works.
        """
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response):
            response.add_post_render_callback(self._let_go)
        elif not response.streaming:
            self._let_go(response)
        return response

    def _let_go(self, response: HttpResponseBase) -> None:
        self.request.parser_context.clear()
        getattr(response, "renderer_context", {}).clear()
        vars(self).clear()

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        renderer = self.renderer_classes[0]()
        return renderer, str(renderer.media_type)

    def _allowed_methods(self) -> list[str]:
        view: Any = type(self)
        return _allowed(view, tuple(self.http_method_names))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in ("OPTIONS", *self.works_without_postgres):
            gateway.require()


@lru_cache(maxsize=256)
def _allowed(view: Any, names: tuple[str, ...]) -> list[str]:
    """Return the methods that a view has; found once, for each request asks twice."""
    return [name.upper() for name in names if hasattr(view, name)]


def members(document: Any, known: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the members of a JSON object, and an error for each that is unknown. Raises `Invalid`."""
    if not isinstance(document, dict):
        raise Invalid({"": "must be a JSON object"})
    return document, {name: "this member is unknown" for name in document if name not in known}


def begun(job: Export | Report, body: dict[str, Any], path: str) -> Response:
    """Hand a new bundle or report to a worker, and answer where it can be watched: 202."""
    enqueue(job)
    return Response(body, status=202, headers={"Location": f"{path}/{job.pk}"})


def parameters(request: Request) -> dict[str, str]:
    """Return the parameters of the query. Raises `Invalid` for one that stands twice: no part of a question is lost."""
    twice = "stands twice: name one value here, and several in q, as in q=actor:alice actor:bob"
    if errors := {name: twice for name, values in request.query_params.lists() if len(values) > 1}:
        raise Invalid(errors)
    return request.query_params.dict()


def is_lenient(request: Request) -> bool:
    """Return whether what is not valid is to be kept for a person: by `Prefer: handling`, else by the writer."""
    handling = _preferred_handling(request)
    return handling == "lenient" if handling else bool(getattr(request.user, "is_lenient", False))


def with_preference(request: Request, response: HttpResponse) -> HttpResponse:
    """Say in an answer that the sender's preference was followed (RFC 7240)."""
    if _preferred_handling(request) == "lenient":
        response["Preference-Applied"] = "handling=lenient"
    return response


def _preferred_handling(request: Request) -> str:
    """Return `lenient` or `strict`, the first that `Prefer: handling=` names; "" where it names neither."""
    preferences = str(request._request.META.get("HTTP_PREFER", ""))
    for preference in preferences.split(",") if preferences else ():
        name, _, value = preference.partition(";")[0].partition("=")
        handling = value.strip().strip('"').lower()
        if name.strip().lower() == "handling" and handling in ("lenient", "strict"):
            return handling
    return ""
