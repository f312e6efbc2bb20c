"""What a bench found: ratios and times with their goals, the rates behind them, as a table and as JSON."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Goal:
    """A bound that a median must keep: `at_least` or at most."""

    bound: float
    unit: str = ""
    at_least: bool = True

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def share(self, value: float) -> float:
        """How far a value is: 1 at the goal, more where it is better."""
        return value / self.bound if self.at_least else self.bound / max(value, 1e-9)

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{_unit(self.unit)}"


@dataclass(frozen=True)
class Row:
    """One line of the table: a value a round. Without values it says in `remark` why it was not measured."""

    name: str
    beside: str
    goal: Goal | None
    values: list[float]
    remark: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps the goal; None where there is nothing to judge."""
        return self.goal.is_met(median(self.values)) if self.values and self.goal else None

    def said(self) -> str:
        """Median, and in brackets the least and the most of the rounds."""
        if not self.values:
            return "not measured"
        unit = self.goal.unit if self.goal else ""
        spread = f" ({figure(min(self.values))} to {figure(max(self.values))})" if len(self.values) > 1 else ""
        return f"{figure(median(self.values))}{spread}{_unit(unit)}"

    def as_json(self) -> dict[str, Any]:
        """The line with what follows from it."""
        return asdict(self) | _spread(self.values) | {"reached": self.is_met}


@dataclass(frozen=True)
class Rate:
    """What the ratios were made of: a rate a round."""

    name: str
    unit: str
    values: list[float]

    def as_json(self) -> dict[str, Any]:
        """The rate with what follows from it."""
        return asdict(self) | _spread(self.values)


@dataclass
class Result:
    """All of a bench."""

    about: dict[str, str]
    """Machine, versions and size, in words."""
    rows: list[Row] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Parts that ended with an error."""

    @property
    def is_met(self) -> bool:
        """Whether nothing failed, and no goal that was measured was missed."""
        return not self.failed and all(row.is_met is not False for row in self.rows)

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "about": self.about,
            "rows": [row.as_json() for row in self.rows],
            "rates": [rate.as_json() for rate in self.rates],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def print(self, console: Console) -> None:
        """Show machine and versions, the goals, and the rates behind them."""
        for name, text in self.about.items():
            console.print(f"{name}: {text}", highlight=False)
        if self.rates:
            rates = Table("rate behind the ratios", "median (min to max)", title="rates of this machine")
            for rate in self.rates:
                rates.add_row(rate.name, Row(rate.name, "", Goal(0, rate.unit), rate.values).said())
            console.print(rates)
        goals = Table("what", "beside", "median (min to max)", "goal", "reached", title="only these travel")
        for row in self.rows:
            reached = {True: "yes", False: "[red]NO[/red]", None: ""}[row.is_met]
            measured = f"{row.said()}{': ' if row.remark else ''}{row.remark}"
            goals.add_row(row.name, row.beside, measured, str(row.goal or ""), reached)
        console.print(goals)


def figure(value: float) -> str:
    """A number as one reads it: three digits, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)} if values else {}


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
