"""The base of every view of the API."""

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.views import APIView

from audit.postgres import gateway


class ApiView(APIView):
    """A view that answers 503 at once while PostgreSQL is known to be down, where its method needs PostgreSQL."""

    # The scope of the key that each method needs, or several of which one is enough.
    scopes: ClassVar[dict[str, str | tuple[str, ...]]] = {}
    # The methods that also answer without PostgreSQL.
    works_without_postgres: ClassVar[tuple[str, ...]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in ("OPTIONS", *self.works_without_postgres):
            gateway.require()
