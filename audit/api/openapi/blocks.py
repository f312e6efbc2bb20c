"""Building blocks of the OpenAPI description, made from the declaration of the event."""

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi import examples
from audit.api.problems import CONTENT_TYPE
from audit.formats import canonical
from audit.search import query


class WriterKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer` or `X-API-Key`."""

    target_class = "audit.api.auth.WriterKeyAuthentication"
    name = ["bearer", "apiKey"]  # noqa: RUF012

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "A writer's key, or a token of JWT_ISSUER"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A writer's key"},
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        return [{"bearer": []}, {"apiKey": []}]


def object_schema(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


def declared(struct: type) -> dict[str, Any]:
    """Return the schema of a struct, in the dialect of OpenAPI."""
    schema: dict[str, Any] = msgspec.json.schema(struct)["$defs"][struct.__name__]
    for declared in schema["properties"].values():
        declared.pop("default", None)
        for choice in declared.get("anyOf", [declared]):
            if choice.get("type") == "string" and "format" not in choice:
                # Python's guard against a final newline; in ECMA-262, JSON Schema's dialect, `$` needs none.
                choice["pattern"] = choice.get("pattern", WITHOUT_NUL).removesuffix(r"(?!\n)")
    if "source_epoch" in schema["properties"]:
        # It says which numbers these are.
        nothing, numbered = {"properties": {"source_epoch": {"type": "null"}}}, {"required": ["source_seq"]}
        numbered |= {"properties": {"source_seq": INTEGER}}  # type: ignore[dict-item]
        schema["dependentSchemas"] = {"source_epoch": {"anyOf": [nothing, numbered]}}
    return schema


_bodies: dict[str, dict[str, Any]] = {}
_without_body: set[str] = set()


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of each body that it has to be there, and of any JSON what the store can hold; give an example of each.

    A hook of drf-spectacular, which leaves out the body of a DELETE, and does not say that one is required.
    """
    calls = [call for path in result["paths"].values() for call in path.values()]
    for call in calls:
        if (body := _bodies.get(call["operationId"])) is not None:
            required = call["operationId"] not in _without_body
            call["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
        if (example := examples.BODIES.get(call["operationId"])) is not None:
            call["requestBody"]["content"]["application/json"]["example"] = example
    result["components"].setdefault("schemas", {}).update(JsonValue=_JSON_VALUE, IgnoredValue=_IGNORED_VALUE)
    return result


# What can be written back by everybody as it came, as text with U+0000 and integers beyond 2^53-1 cannot.
WITHOUT_NUL = r"^[^\u0000]*$"
WITH_A_LETTER = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"
TEXT_SENT = {"type": "string", "pattern": WITHOUT_NUL}
ANY_JSON = {"$ref": "#/components/schemas/JsonValue"}
ANY_MEMBERS = {"propertyNames": TEXT_SENT, "additionalProperties": ANY_JSON}
_PLAIN = [
    {"type": ["null", "boolean"]},
    {"type": "number", "minimum": -canonical.MAX_SAFE_INTEGER, "maximum": canonical.MAX_SAFE_INTEGER},
]
# Members that nothing reads: only what cannot be told from another number is refused, as anywhere in a body.
IGNORED = {"$ref": "#/components/schemas/IgnoredValue"}
_IGNORED_VALUE = {
    "anyOf": [
        *_PLAIN,
        {"type": "string"},
        {"type": "array", "items": IGNORED},
        {"type": "object", "additionalProperties": IGNORED},
    ]
}
_JSON_VALUE = {
    "anyOf": [
        *_PLAIN,
        TEXT_SENT,
        {"type": "array", "items": ANY_JSON},
        {"type": "object"} | ANY_MEMBERS,
    ]
}
TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
NULLABLE = {"type": ["string", "null"]}
PROBLEM = object_schema(
    dict.fromkeys(("type", "title", "detail", "instance"), TEXT)
    | {"status": {"type": "integer"}, "field_errors": {"type": "object", "additionalProperties": TEXT}},
    required=["type", "title", "status", "detail"],
)

_PROBLEMS = {
    400: "Not valid: field_errors names each field",
    401: "No valid key",
    403: "The key lacks the scope",
    429: "Too many requests: see Retry-After",
    503: "Not kept, or not readable, now: see Retry-After",
}
OF_BODIES = {413: "The body is over 5 MiB", 415: "The body is not application/json"}


def responses(answers: dict[int, tuple[dict[str, Any], str]], problems: dict[int, str]) -> dict[Any, Any]:
    documented: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(schema, text) for status, (schema, text) in answers.items()
    }
    for status, text in (_PROBLEMS | problems).items():
        documented[status, CONTENT_TYPE] = OpenApiResponse(PROBLEM, text)
    return documented


def operation(
    name: str,
    answers: dict[Any, Any],
    *,
    body: Any = None,
    required: bool = True,
    parameters: list[Any] | None = None,
) -> dict[str, Any]:
    """Return the arguments of `extend_schema` for one operation; `body` is the schema of its JSON, if it is sent."""
    described: dict[str, Any] = {"operation_id": name, "responses": answers}
    if body is not None:
        is_open = body["type"] == "object" and "additionalProperties" not in body
        others = {"additionalProperties": IGNORED} if is_open else {}
        if not required:
            _without_body.add(name)
        described["request"] = {"application/json": body | others}
        _bodies[name] = body | others
    return described if parameters is None else described | {"parameters": parameters}


def parameter(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, _PARAMETERS.get(name, TEXT), description=_DESCRIPTIONS.get(name, "equal to"))


_PARAMETERS: dict[str, Any] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": query.MAX_LIMIT, "default": query.DEFAULT_LIMIT},
    "offset": {"type": "integer", "minimum": 0, "maximum": query.MAX_OFFSET, "default": 0},
}
_DESCRIPTIONS = {
    "q": "a query in the grammar of docs/search.md: actor:alice type:gateway.* -severity:info after:7d data.key:value",
    "since": "at or after: a span such as 24h or 7d, or RFC 3339",
    "until": "at or before: a span or RFC 3339",
    "detail_key": "a member of event_data; goes with detail_value",
    "detail_value": "the member's value as text; goes with detail_key",
    "limit": "records a page",
    "offset": "records to skip; deep pages cost more: prefer after",
    "after": "the cursor from pagination.next; every page costs the same",
}
