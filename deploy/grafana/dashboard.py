"""Make the dashboard for Grafana: `python deploy/grafana/dashboard.py` writes auditsite.json beside this file.

Import the JSON, or have Grafana provision it; it asks for nothing but the data source. Change what is here, not the
JSON: tests/deploy/test_dashboard.py holds both together, and every metric equal to what the site exports.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("auditsite.json")
WIDTH = 24
GREEN, YELLOW, RED = "green", "yellow", "red"
KEPT = "sum(increase(audit_recorded_total[$__range]))"
REFUSED = "(sum(increase(audit_nothing_kept_total[$__range])) or vector(0))"
QUANTILE = "histogram_quantile({}, sum by (le) (rate(audit_record_seconds_bucket[$__rate_interval])))"


@dataclass(frozen=True)
class Level:
    """One figure that is green, yellow or red: a service level, or what stands against one."""

    title: str
    query: str
    unit: str
    # The colour below the first value, then from each value on.
    colours: tuple[str, ...]
    values: tuple[float, ...]
    says: str


@dataclass(frozen=True)
class Graph:
    """Lines over time; `queries` maps legend to query."""

    title: str
    unit: str
    queries: dict[str, str]
    says: str = ""
    stacked: bool = False


NONE_IS_RIGHT = ((GREEN, RED), (1.0,))
LEVELS = (
    Level(
        "Events kept",
        f"{KEPT} / ({KEPT} + {REFUSED})",
        "percentunit",
        (RED, YELLOW, GREEN),
        (0.999, 0.9999),
        "Of the events that writers offered, those that were promised (201, 200 or 202); the rest was 503, and is sent "
        "again. Level: 99.99 % of the time shown.",
    ),
    Level(
        "Answered within, p99",
        QUANTILE.format("0.99"),
        "s",
        (GREEN, YELLOW, RED),
        (0.05, 0.3),
        "From a valid event to its promise. Level: 50 ms; 300 ms in the moment in which PostgreSQL fails.",
    ),
    Level(
        "Unsealed for",
        "max(audit_log_lag_seconds)",
        "s",
        (GREEN, YELLOW, RED),
        (2.0, 60.0),
        "How long the oldest record waits for its place in the signed log. Level: 1 s; receipts promise 60 s.",
    ),
    Level(
        "Oldest parked event",
        "max(dlq_oldest_age_seconds)",
        "s",
        (GREEN, YELLOW, RED),
        (60.0, 3600.0),
        "Parked events are stored within seconds of PostgreSQL's return. Level: an hour.",
    ),
    Level(
        "Lost",
        "max(audit_account_lost_events) + max(dlq_account_lost)",
        "none",
        *NONE_IS_RIGHT,
        "Events that were promised and are nowhere. Level: none, ever.",
    ),
    Level(
        "Never came",
        'max(audit_missing_events{state="open"})',
        "none",
        *NONE_IS_RIGHT,
        "Numbers of writers that are missing, and that nobody explained.",
    ),
    Level(
        "Findings",
        "sum(max by (kind) (audit_findings))",
        "none",
        *NONE_IS_RIGHT,
        "Records, leaves or signatures that do not fit. Level: none, ever.",
    ),
    Level(
        "Verified before",
        'time() - max(audit_verified_timestamp_seconds{scope="newest"})',
        "s",
        (GREEN, YELLOW, RED),
        (900.0, 3600.0),
        "Since when what is new has not been verified. Level: an hour.",
    ),
)
ROWS: dict[str, tuple[Graph, ...]] = {
    "Events": (
        Graph(
            "Events answered",
            "reqps",
            {"{{state}}": "sum by (state) (rate(audit_recorded_total[$__rate_interval]))"},
            "By the promise given: stored (201), duplicate (200), parked (202).",
            stacked=True,
        ),
        Graph("Time to the promise", "s", {f"p{q}": QUANTILE.format(f"0.{q}") for q in ("50", "99", "999")}),
        Graph(
            "Not taken, or without a receipt",
            "reqps",
            {
                "{{reason}}": "sum by (reason) (rate(audit_rejected_events_total[$__rate_interval]))",
                "503": "sum(rate(audit_nothing_kept_total[$__rate_interval]))",
                "other content": "sum(rate(audit_conflicts_total[$__rate_interval]))",
                "without a receipt": "sum(rate(audit_receipts_unsigned_total[$__rate_interval]))",
            },
            "Events that were refused, by reason; 503 says that neither server could keep them. Answers without a "
            "signed receipt were taken all the same.",
        ),
        Graph(
            "Why events are parked",
            "reqps",
            {"{{fault}}": "sum by (fault) (rate(audit_parked_total[$__rate_interval]))"},
        ),
    ),
    "Queue": (
        Graph(
            "Depth",
            "none",
            {
                "parked": "max(dlq_depth)",
                "in hand": "max(dlq_leased)",
                "dead": "max(dlq_dead)",
                "inbox": "max(dlq_inbox)",
                "files of the spool": "max(dlq_spool_files)",
            },
        ),
        Graph(
            "Drained",
            "reqps",
            {
                "{{outcome}}": "sum by (outcome) (rate(dlq_drained_total[$__rate_interval]))",
                "failed: {{kind}}": "sum by (kind) (rate(dlq_failed_total[$__rate_interval]))",
            },
        ),
        Graph(
            "Room until Redis is full",
            "h",
            {"hours": "min(dlq_room_hours)"},
            "At the last hour's rate; empty where nothing is parked or Redis has no limit.",
        ),
        Graph(
            "Servers",
            "bool_yes_no",
            {
                "PostgreSQL is asked": "1 - max(audit_breaker_open)",
                "Redis answers": "min(dlq_redis_up)",
                "Redis is durable": "min(dlq_durable)",
                "the queue balances": "min(dlq_balanced)",
                "drains run": "1 - max(dlq_paused)",
            },
        ),
    ),
    "Log": (
        Graph("Records under the newest head", "none", {"records": "max(audit_log_size)"}),
        Graph(
            "Waiting for the sealer",
            "none",
            {"records": "max(audit_log_unsealed)"},
        ),
        Graph(
            "Age of the newest",
            "s",
            {
                "checkpoint": "time() - max(audit_log_signed_timestamp_seconds)",
                "cosignature of {{witness}}": "time() - max by (witness) (audit_log_cosigned_timestamp_seconds)",
                "verification: {{scope}}": "time() - max by (scope) (audit_verified_timestamp_seconds)",
            },
        ),
        Graph("Findings", "none", {"{{kind}}": "max by (kind) (audit_findings)"}),
    ),
    "Completeness": (
        Graph(
            "Open",
            "none",
            {
                "missing numbers": 'max(audit_missing_events{state="open"})',
                "broken promises": 'max(audit_broken_promises{state="open"})',
                "silent writers": "max(audit_silent_writers)",
                "not met: {{rule}}": "max by (rule) (audit_unmet_expectations)",
                "missed reviews": 'max(audit_missed_reviews{state="open"})',
            },
        ),
        Graph(
            "Reconciled before",
            "s",
            {"behind": "time() - max(audit_reconciled_timestamp_seconds)"},
            "What was stored since then has not been looked at yet.",
        ),
        Graph(
            "Last",
            "s",
            {
                "drain": "time() - max(dlq_last_watch_timestamp_seconds)",
                "tick of the schedule": "time() - max(dlq_last_tick_timestamp_seconds)",
                "{{act}}": "time() - max by (act) (audit_backup_timestamp_seconds)",
            },
        ),
        Graph("Evidence bundles", "none", {"{{state}}": "max by (state) (audit_exports)"}),
        Graph("A bundle has not moved for", "s", {"seconds": "max(audit_export_still_seconds)"}),
        Graph(
            "Streams are behind",
            "s",
            {"{{target}}": "max by (target) (audit_stream_lag_seconds)"},
            "From the oldest record that a target lacks until now.",
        ),
        Graph("Left out of streams", "none", {"{{target}}": "max by (target) (audit_stream_left_out_records)"}),
        Graph("Clocks are apart", "s", {"seconds": "max(audit_clock_skew_seconds)"}),
    ),
}
SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = _row(panels, "Service levels", 0)
    across = WIDTH // len(LEVELS)
    for place, level in enumerate(LEVELS):
        panels.append(_level(level) | _at(panels, place * across, top, across, 5))
    top += 5
    for title, graphs in ROWS.items():
        top = _row(panels, title, top)
        for place, graph in enumerate(graphs):
            panels.append(_graph(graph) | _at(panels, place % 2 * 12, top + place // 2 * 8, 12, 8))
        top += (len(graphs) + 1) // 2 * 8
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": "auditsite",
        "title": "Audit store",
        "tags": ["auditsite"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def _at(panels: list[dict[str, Any]], x: int, y: int, w: int, h: int) -> dict[str, Any]:
    return {"id": len(panels) + 1, "gridPos": {"x": x, "y": y, "w": w, "h": h}}


def _row(panels: list[dict[str, Any]], title: str, top: int) -> int:
    row = {"type": "row", "title": title, "collapsed": False, "panels": []}
    panels.append(row | _at(panels, 0, top, WIDTH, 1))
    return top + 1


def _level(level: Level) -> dict[str, Any]:
    starts = (None, *level.values)
    steps = [{"color": colour, "value": value} for colour, value in zip(level.colours, starts, strict=True)]
    defaults = {"unit": level.unit, "thresholds": {"mode": "absolute", "steps": steps}, "noValue": "unknown"}
    if level.unit == "percentunit":
        defaults["decimals"] = 3
    return {
        "type": "stat",
        "title": level.title,
        "description": level.says,
        "datasource": SOURCE,
        "targets": _targets({level.title: level.query}, instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def _graph(graph: Graph) -> dict[str, Any]:
    custom = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
    custom |= {"stacking": {"mode": "normal" if graph.stacked else "none", "group": "A"}}
    return {
        "type": "timeseries",
        "title": graph.title,
        "description": graph.says,
        "datasource": SOURCE,
        "targets": _targets(graph.queries, instant=False),
        "fieldConfig": {"defaults": {"unit": graph.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _targets(queries: dict[str, str], *, instant: bool) -> list[dict[str, Any]]:
    return [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for place, (legend, query) in enumerate(queries.items())
    ]


if __name__ == "__main__":
    PATH.write_text(json.dumps(dashboard(), indent=2) + "\n", encoding="utf-8")
