"""How bodies are read."""

from typing import IO, Any

from rest_framework.parsers import BaseParser

from audit.errors import Invalid
from audit.formats import canonical


class RawJSONParser(BaseParser):
    """JSON read strictly: what could not come back equal is refused here."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            # `body` rather than `read()`: Django refuses it when it is over the limit.
            return canonical.loads(stream.body)  # type: ignore[attr-defined]
        except canonical.NotCanonical as error:
            raise Invalid({"": str(error)}) from None
