"""sections: all parts of a report in their order, and the figures that each has."""

from collections.abc import Callable

from audit.reports.figures import Section
from audit.reports.sections import (
    access,
    acts,
    completeness,
    fields,
    integrity,
    outages,
    redaction,
    retention,
    reviews,
    volumes,
)
from audit.reports.snapshot import Basis

SECTIONS: dict[str, tuple[Callable[[Basis], Section], tuple[str, ...]]] = {
    "volumes": (volumes.section, volumes.KEYS),
    "fields": (fields.section, fields.KEYS),
    "integrity": (integrity.section, integrity.KEYS),
    "completeness": (completeness.section, completeness.KEYS),
    "queue": (outages.section, outages.KEYS),
    "keeping": (retention.section, retention.KEYS),
    "access": (access.section, access.KEYS),
    "changes": (acts.changes, acts.keys(acts.CHANGES)),
    "alerts": (acts.alerts, acts.keys(acts.ALERTS)),
    "reviews": (reviews.section, reviews.KEYS),
    "handed": (acts.handed, acts.keys(acts.HANDED)),
    "redaction": (redaction.section, redaction.KEYS),
}
REFERENCES = {f"{name}.{key}" for name, (_, keys) in SECTIONS.items() for key in keys}
"""What a control may name as its evidence."""
