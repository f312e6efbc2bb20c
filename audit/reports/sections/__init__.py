"""sections: the sections of a report in their order, each with the keys of its figures."""

from collections.abc import Callable

from audit.reports.figures import Section
from audit.reports.sections import (
    access,
    acts,
    completeness,
    erasure,
    fields,
    integrity,
    outages,
    redaction,
    retention,
    reviews,
    volumes,
)
from audit.reports.snapshot import Snapshot

SECTIONS: dict[str, tuple[Callable[[Snapshot], Section], tuple[str, ...]]] = {
    "volumes": (volumes.section, volumes.KEYS),
    "fields": (fields.section, fields.KEYS),
    "integrity": (integrity.section, integrity.KEYS),
    "completeness": (completeness.section, completeness.KEYS),
    "queue": (outages.section, outages.KEYS),
    "keeping": (retention.section, retention.KEYS),
    "access": (access.section, tuple(access.LABELS)),
    "changes": (acts.changes, acts.keys(acts.CHANGES)),
    "alerts": (acts.alerts, acts.keys(acts.ALERTS)),
    "reviews": (reviews.section, tuple(reviews.LABELS)),
    "handed": (acts.handed, acts.keys(acts.HANDED)),
    "redaction": (redaction.section, tuple(redaction.LABELS)),
    "erasure": (erasure.section, tuple(erasure.LABELS)),
}
# The version of the content from which on a report has a section that was not always there.
SINCE = {"erasure": 4}
# What a control may name as its evidence.
REFERENCES = {f"{name}.{key}" for name, (_, keys) in SECTIONS.items() for key in keys}
