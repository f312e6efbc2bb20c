"""What the record list says beside its records: where a word was looked for, and what is near where nothing matches."""

from collections.abc import Iterator
from typing import NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma

from audit.admin.search import query_bar
from audit.formats import grammar, redaction
from audit.formats.fields import ANY, ANYWHERE, DATA, FIELDS
from audit.formats.grammar import Query, Term, Value
from audit.models import ErasureRule, RecordQuerySet
from audit.search import query
from audit.search.query import Search

# How far the records of an offer are counted, and how many queries are tried: each is a look-up in an index.
COUNTED = 100
TRIED = 12
NAMED = tuple(name for name in ANYWHERE if name != "id")


class Offer(NamedTuple):
    """Another query, and how many records it finds: `3`, `100+`."""

    text: str
    address: str
    number: str


def words_as_fields(bar: query_bar.QueryBar) -> list[query_bar.Link]:
    """Return the query with its bare words in each single field."""
    return [query_bar.to(str(named), label=str(named)) for named in grammar.in_fields(bar.query)]


def near(bar: query_bar.QueryBar, records: RecordQuerySet) -> list[Offer]:
    """Return queries that differ in letter case or in the field of one term and find something."""
    offers = []
    for candidate in list(dict.fromkeys(_candidates(bar.query)))[:TRIED]:
        search = Search(query=candidate, now=bar.now, limit=1)
        if (counted := query.count(query.matching(search, records), COUNTED)) and counted[0]:
            text = str(candidate)
            address = query_bar.to(text, label=text).address + bar.suffix
            offers.append(Offer(text, address, f"{intcomma(counted[0])}{'+' * counted[1]}"))
    return offers


def erasable(asked: Query) -> list[str]:
    """Return the paths of rules that name what a query asks for: no search finds a value that can be erased."""
    parts = [tuple(redaction.split(path)) for path in _asked(asked)]
    paths = dict.fromkeys(ErasureRule.objects.values_list("path", flat=True))
    return [path for path in paths if any(redaction.covers(path, place) for place in parts)]


def _asked(query: Query) -> Iterator[str]:
    for term in query.terms:
        if term.field == DATA:
            yield redaction.path_text((redaction.DATA, *term.path))
        elif term.field in FIELDS:
            yield FIELDS[term.field].column


def _candidates(asked: Query) -> list[Query]:
    found = []
    for place, term in enumerate(asked.terms):
        if term.negated or len(term.values) != 1 or term.field not in (*NAMED, ANY, "writer"):
            continue
        for field, text in _others(term):
            changed = Term(field, (Value(text, term.values[0].prefix),))
            found.append(Query((*asked.terms[:place], changed, *asked.terms[place + 1 :])))
    return [candidate for candidate in found if candidate != asked]


def _others(term: Term) -> list[tuple[str, str]]:
    """Return fields and spellings in which the value may be meant."""
    text = term.values[0].text
    spellings = dict.fromkeys((text, text.lower(), text.capitalize(), text.upper()))
    own = [(term.field, spelling) for spelling in spellings if spelling != text]
    return own + [(field, text) for field in NAMED if field != term.field and term.field != ANY]
