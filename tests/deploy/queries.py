"""What the dashboard, the alert rules and the chart ask of Prometheus, as it stands in deploy/."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
ALERTS = DEPLOY / "alerts.yml"
# What Grafana puts in before it asks.
VARIABLES = {"$__rate_interval": "5m", "$__range": "24h"}


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, rows too."""
    return list(json.loads((DEPLOY / "grafana" / "auditsite.json").read_text(encoding="utf-8"))["panels"])


def of_panel(panel: dict[str, Any]) -> dict[str, str]:
    """The queries of a panel by their legends, as Grafana asks them; none of a row."""
    return {target["legendFormat"]: _filled(target["expr"]) for target in panel.get("targets", [])}


def of_dashboard() -> list[str]:
    """All of the dashboard."""
    return [query for panel in panels() for query in of_panel(panel).values()]


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_alerts() -> list[str]:
    """All of the alert rules."""
    return [rule["expr"] for rule in rules()]


def of_chart() -> list[str]:
    """Those by which the chart has drainers scaled."""
    text = (DEPLOY / "helm" / "auditsite" / "templates" / "drain.yaml").read_text(encoding="utf-8")
    return [query.replace("{{ $.Release.Namespace | quote }}", '"x"') for query in re.findall(r"query: (.+)", text)]


def _filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query
