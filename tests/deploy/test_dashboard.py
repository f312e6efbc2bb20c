"""The dashboard and the alert rules ask Prometheus for what the site exports, in words that Prometheus reads."""

import json
import re
import runpy
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy import queries

# Shown only once a watcher or a schedule ran, a witness cosigned, or where Redis has a limit.
NOT_ALWAYS_THERE = {"dlq_room_hours", "dlq_last_watch_timestamp_seconds", "dlq_last_tick_timestamp_seconds"}
# What Kubernetes' scrapes add to every series.
OF_SCRAPES = {"namespace", "job", "instance"}


def selectors(node: Any) -> Iterator[Any]:
    """Each selection of series in a parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (child := getattr(node, name, None)) is not None and not isinstance(child, str):
            yield from selectors(child)
    for child in getattr(node, "args", None) or []:
        yield from selectors(child)


def grouped_by(query: str) -> set[str]:
    return {word.strip() for words in re.findall(r"\bby \(([^)]*)\)", query) for word in words.split(",")} - {"le"}


@cache
def exported() -> dict[str, set[str] | None]:
    """The names of all series that the site exports, each with its labels; None where it shows no series yet."""
    text = Client().get("/metrics").content.decode()
    found: dict[str, set[str] | None] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        found |= {family.name + suffix: None for suffix in suffixes}
        for sample in family.samples:
            found[sample.name] = (found.get(sample.name) or set()) | sample.labels.keys()
    return found


@pytest.mark.parametrize("query", [*queries.of_dashboard(), *queries.of_alerts(), *queries.of_chart()])
def test_every_query_asks_for_series_that_the_site_exports(query: str) -> None:
    selected = list(selectors(promql_parser.parse(query)))
    assert selected, "it selects nothing"
    for selector in selected:
        assert selector.name in exported().keys() | NOT_ALWAYS_THERE, query
        labels = exported().get(selector.name)
        asked = {matcher.name for matcher in selector.matchers.matchers} - OF_SCRAPES
        assert not labels or asked <= labels, query
    known = set().union(*(exported().get(selector.name) or set() for selector in selected))
    assert not known or grouped_by(query) <= known, query


@pytest.mark.parametrize(
    "query",
    ["sum(audit_recordd_total) > 0", "max by (kind) (audit_missing_events)", 'audit_findings{knd="x"}', "vector(1)"],
)
def test_a_query_for_what_is_not_there_is_seen(query: str) -> None:
    with pytest.raises(AssertionError):
        test_every_query_asks_for_series_that_the_site_exports(query)


def test_a_query_that_prometheus_cannot_read_is_seen() -> None:
    with pytest.raises(ValueError):
        promql_parser.parse("sum(rate(audit_recorded_total[5m])")


def test_the_json_is_what_its_script_makes() -> None:
    script = runpy.run_path(str(queries.DEPLOY / "grafana" / "dashboard.py"))
    assert json.loads(script["PATH"].read_text(encoding="utf-8")) == script["dashboard"]()


def test_no_two_panels_lie_upon_each_other_or_have_one_number() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in queries.panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in queries.panels()}) == len(queries.panels())


def test_each_service_level_says_what_it_is_and_when_it_is_broken() -> None:
    levels = [panel for panel in queries.panels() if panel["type"] == "stat"]
    assert len(levels) == 8
    for panel in levels:
        assert len(panel["description"]) > 30
        colours = [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert "red" in colours and "green" in colours


def test_each_alert_has_a_level_or_a_line_on_the_dashboard() -> None:
    """Whoever is woken sees there since when it is so."""
    drawn = {selector.name for query in queries.of_dashboard() for selector in selectors(promql_parser.parse(query))}
    for query in queries.of_alerts():
        named = {selector.name for selector in selectors(promql_parser.parse(query))}
        assert named & drawn, query
