"""The query bar of the record list: one text, its terms as chips, time windows, and help. The address is the query."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode

from audit.admin.display import number
from audit.formats import grammar
from audit.formats.fields import DATA, FIELDS, OUTCOMES
from audit.formats.grammar import Query, QueryRefused
from audit.models import RecordQuerySet
from audit.search import cost
from audit.search.query import Search, sealed_before

QUERY = "q"
FROM, UNTIL = "from", "until"
CHOSEN = "columns"
# The size of a checkpoint: what was sealed later is left out. The figures of reports lead here with it.
AS_OF = "as_of"
COLUMNS = {
    "actor_id": "actor",
    "resource": "resource",
    "outcome": "outcome",
    "severity": "severity",
    "writer": "writer",
    "state_badge": "state",
    "event_category": "category",
    "event_action": "action",
    "correlation_id": "correlation",
    "namespace": "namespace",
    "error_code": "error",
    "duration_ms": "duration (ms)",
    "received": "received (UTC)",
}
SHOWN = ("actor_id", "resource", "outcome", "severity", "writer", "state_badge")
DEFAULT = "after:7d"  # what an address without a query asks for; a query of nothing is everything
TIMES = ("after", "before", "until", "on")
PRESETS = {"15 min": "15m", "1 h": "1h", "24 h": "24h", "7 d": "7d", "30 d": "30d", "quarter": "90d", "all": ""}
CATEGORIES = (
    *("gateway", "notification", "analysis", "aiagent", "signalprocessing", "workflow", "workflowexecution"),
    *("orchestration", "approval", "effectiveness", "actiontype", "apifrontend", "security", "agentsession"),
)
# Values to choose from. The catalogue of categories is ours: a look at the table for them would read all of it.
KNOWN = {"outcome": list(OUTCOMES), "severity": ["info", "warning", "error", "critical"], "category": list(CATEGORIES)}


class Link(NamedTuple):
    label: str
    address: str
    current: bool = False


class Help(NamedTuple):
    """A line of the help: an example, or known values to choose from."""

    name: str
    meaning: str
    indexed: bool
    example: str
    known: list[Link]


class QueryBar:
    def __init__(self, text: str, columns: Sequence[str] = (), as_of: str = ""):
        self.text = text
        self.as_of = size if as_of and (size := number(as_of)) >= 0 else None
        self.refused_as_of = as_of if self.as_of is None else ""
        self.columns = [name for name in columns if name in COLUMNS]
        self.query = Query()
        self._rests: dict[str, str] = {}
        self.problem = ""
        self.is_read = True
        self.offers: list[Link] = []
        self.now = datetime.now(UTC)
        try:
            self.query = grammar.parse(text)
            cost.check(self.query, self.now)
        except QueryRefused as refused:
            self.problem, self.is_read = str(refused), False
            self.offers = [to(mended, label=mended) for mended in refused.mended(text)]
        except cost.TooExpensive as refused:
            self.problem = str(refused)
            self.offers = [to(str(offer), label=str(offer)) for offer in refused.offers]

    def search(self, limit: int) -> Search:
        return Search(query=self.query, now=self.now, limit=limit)

    def bound(self, records: RecordQuerySet) -> RecordQuerySet:
        """Leave out what was sealed after the checkpoint that the address names."""
        return records if self.as_of is None else sealed_before(records, self.as_of)

    @property
    def kept(self) -> dict[str, str]:
        """What every address and form of the page keeps beside the query: the checkpoint, the chosen columns."""
        return self.kept_by_columns | ({CHOSEN: ",".join(self.columns)} if self.columns else {})

    @property
    def kept_by_columns(self) -> dict[str, str]:
        return {} if self.as_of is None else {AS_OF: str(self.as_of)}

    @property
    def suffix(self) -> str:
        """The same, as the end of an address."""
        return f"&{urlencode(self.kept)}" if self.kept else ""

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        return [(name, label, name in (self.columns or SHOWN)) for name, label in COLUMNS.items()]

    def narrowed(self, field: str, value: str) -> str:
        """The address of the query with this value in place of others of the field. A list asks for hundreds."""
        if field not in self._rests:
            self._rests[field] = f"{self.query.without(field)} ".lstrip()
        term = next(grammar.parts(grammar.Term(field, (grammar.Value(value),))))
        return f"?{parameters(self._rests[field] + term)}{self.suffix}"

    @property
    def chips(self) -> list[Link]:
        """Each term, with the list without it."""
        return [to(str(rest), label=part) for part, rest in self.query.each()]

    @property
    def presets(self) -> list[Link]:
        """The same query in other windows."""
        queries = {label: windowed(self.query, span) for label, span in PRESETS.items()}
        return [Link(label, address(query), query == self.query) for label, query in queries.items()]

    @property
    def wider(self) -> list[Link]:
        """Windows to try when nothing matches."""
        if not any(self.query.has(field) for field in TIMES):
            return []
        tries = {"Widen to 30 days": "30d", "Look at all times": ""}
        queries = {label: windowed(self.query, span) for label, span in tries.items()}
        return [Link(label, address(query)) for label, query in queries.items() if query != self.query]

    @property
    def narrower(self) -> list[Link]:
        """Windows to try when the search took too long."""
        tries = [windowed(self.query, span) for span in ("24h", "1h")]
        return [Link(str(query), address(query) + self.suffix) for query in tries if query != self.query]

    @property
    def completion(self) -> dict[str, list[str]]:
        """What the bar completes while somebody types: each field, with its known values."""
        spans = {name: ["1h", "24h", "7d", "30d"] for name in ("after", "before", "until")}
        return {name: KNOWN.get(name) or spans.get(name, []) for name in (*FIELDS, f"{DATA}.")}

    @property
    def help(self) -> list[Help]:
        """Every field, with what can be asked of it; a known value is a link that narrows the query."""
        lines = []
        for name, field in FIELDS.items():
            rest = self.query.without(name)
            known = [Link(f"{name}:{value}", address(rest.with_term(name, value))) for value in KNOWN.get(name, ())]
            lines.append(Help(name, field.meaning, field.indexed, field.example, known))
        return [*lines, Help(f"{DATA}.…", "a member of the event's data", True, f"{DATA}.namespace:prod", [])]


def read(parameters: Mapping[str, str]) -> QueryBar:
    return QueryBar(parameters.get(QUERY, DEFAULT), chosen_columns(parameters), parameters.get(AS_OF, ""))


def chosen_columns(parameters: Mapping[str, str]) -> list[str]:
    """Return the columns that an address names, in the order of `COLUMNS`; none means the default ones."""
    get = getattr(parameters, "getlist", lambda name: [parameters.get(name, "")])
    named = {name for text in get(CHOSEN) for name in str(text).split(",")}
    return [name for name in COLUMNS if name in named]


def chosen_window(parameters: Mapping[str, str]) -> str | None:
    """Return the address of the query with the window from the form; None without one, or for no valid query."""
    times = {"after": parameters.get(FROM, "").strip(), "until": parameters.get(UNTIL, "").strip()}
    if FROM not in parameters and UNTIL not in parameters:
        return None
    try:
        query = grammar.parse(parameters.get(QUERY, "")).without(*TIMES)
    except QueryRefused:
        return None
    for field, text in times.items():
        query = query.with_term(field, text) if text else query
    return address(query) + read(parameters).suffix


def windowed(query: Query, span: str) -> Query:
    """Return the query limited to the last `span`, or to no time at all."""
    timeless = query.without(*TIMES)
    return timeless.with_term("after", span) if span else timeless


def parameters(text: str, more: Mapping[str, str] = MappingProxyType({})) -> str:
    return urlencode({QUERY: text, **more})


def address(query: Query) -> str:
    return f"?{parameters(str(query))}"


def to(text: str, *, label: str) -> Link:
    return Link(label, f"?{parameters(text)}")
