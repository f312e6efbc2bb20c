"""render: a report for people to read: on a page of the admin, as HTML, JSON and PDF files."""

import json
import re
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from audit import safe_text
from audit.errors import AuditError
from audit.formats import times
from audit.models import Report
from audit.reports.sections import access, completeness, fields

STYLE = Path(__file__).parent.parent / "static" / "audit" / "report.css"
KINDS = {"json": "application/json", "html": "text/html; charset=utf-8", "pdf": "application/pdf"}
# Level, sign and word of the badge of a verdict. Evidence is no judgement that a control is met: no green, no tick.
BADGES = {
    "shown": ("plain", "•", "available"),
    "partly": ("warning", "!", "partial"),
    "not shown": ("error", "✗", "none"),
}
# A span of time as the content has it, and which figures are one: alone, or named in their text.
SPAN = re.compile(r"(?<![\w.,])([0-9][0-9,]*(?:\.[0-9]+)?) s\b")
COUNTS_SECONDS, NAMES_SPANS = ("longest",), ("skew",)
# Shorter spans are read as they are.
READABLE_S = 60
SHARE_OF_SAMPLE = ("", "a share of the records looked at: no search finds these alone")
# Where a figure is looked up instead of where the content of the report says: the digest fixes the content, and these
# sources would not give the figure. The address, and how it is checked in words.
OTHER_SOURCES = {
    "volumes.writers": ("#volumes-list-1", "each is in the table below"),
    "fields.sampled": ("", "a sample: every so many leaves of the period, from where the root of the checkpoint says"),
    **{f"fields.{key}": SHARE_OF_SAMPLE for key, _ in fields.FIELDS},
    "fields.types": ("#fields-list-2", "each is in the table below"),
}
# Of figures whose search in earlier contents finds something else: its terms, and those that find what is counted.
OTHER_TERMS = {
    "completeness.explained": (completeness.GAPS, " ".join(f"type:{name}" for name in completeness.EXPLAINED)),
    "access.login_refused": (f"type:{access.REFUSED[0]} after:", f"{access.LOGINS_REFUSED} after:"),
}
# What the page says of a section beside its own words.
REMARKS = {
    "reviews": "A day must be signed once reviews are asked for: those before are neither signed nor missed, and need "
    "no signature. So no day may be missed though few are signed. A day that is not due yet is neither, too."
}
# Of a chart, in pixels; as many names as fit below the columns.
CHART_WIDTH, CHART_HEIGHT, CHART_TOP, MAX_CHART_NAMES = 720, 90, 18, 14


class PdfMissing(AuditError):
    """PDF files need WeasyPrint: install `auditsite[pdf]` and the library Pango, then start the site again."""


class ControlRow(NamedTuple):
    id: str
    gist: str
    verdict: str
    level: str
    sign: str
    exceptions: int
    why: str
    evidence: list[dict[str, Any]]


def context(report: Report, *, site: str = "") -> dict[str, Any]:
    """What the templates need; `site` stands before every address, for files that are read elsewhere."""
    content = report.content or {}
    rows: dict[str, list[ControlRow]] = {pack["pack"]: [] for pack in content.get("packs", [])}
    for control in content.get("controls", []):
        rows[control["pack"]].append(_control_row(control))
    beside = report.beside or {}
    look_up = _LookUp(site, content.get("checkpoint", {}).get("size"))
    return {
        "report": report,
        "content": content,
        "summary": _summary(content, [row for of_pack in rows.values() for row in of_pack]),
        "packs": [
            {**pack, "controls": rows[pack["pack"]], "text": beside.get("packs", {}).get(pack["pack"], "")}
            for pack in content.get("packs", [])
        ],
        "sections": [_section(section, look_up) for section in content.get("sections", [])],
        "title": title(report),
        "beside": {**beside, "lines": [(label, _number(value)) for label, value in beside.get("lines", [])]},
        "scope": [" and ".join(", ".join(names) for names in span if names) for span in report.sight],
    }


def title(report: Report) -> str:
    names = [pack["title"] for pack in (report.content or {}).get("packs", [])] or report.packs
    return f"Compliance report, {', '.join(names)}: {report.first} to {report.last}"


def html(report: Report, *, site: str = "") -> str:
    style = SafeString(STYLE.read_text(encoding="utf-8"))
    return safe_text.harmless(render_to_string("reports/whole.html", {**context(report, site=site), "style": style}))


def file(report: Report, kind: str, *, site: str = "") -> bytes:
    """The report as one of KINDS. Raises `PdfMissing`."""
    if kind == "json":
        return json.dumps(as_json(report), ensure_ascii=False, indent=1).encode()
    return _pdf(report, site) if kind == "pdf" else html(report, site=site).encode()


def as_json(report: Report) -> dict[str, Any]:
    """What the digest covers, and what it does not."""
    return {"sha256": report.digest, "report": str(report.pk), "content": report.content, "beside": report.beside}


def has_pdf() -> bool:
    """Whether WeasyPrint and its libraries are there."""
    return _weasyprint() is not None


def _pdf(report: Report, site: str) -> bytes:
    if (weasyprint := _weasyprint()) is None:
        raise PdfMissing
    body: bytes = weasyprint.HTML(string=html(report, site=site), url_fetcher=_refuse_url).write_pdf()
    return body


@cache
def _weasyprint() -> ModuleType | None:
    """WeasyPrint; None where it, or a library that it loads, cannot be used, whatever it fails with.

    What it warns of while it is imported (an old Pango, no HarfBuzz-Subset) is its own matter.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import weasyprint
        except Exception:
            return None
    return cast(ModuleType, weasyprint)


def _refuse_url(url: str, *args: Any, **options: Any) -> Any:
    raise ValueError(f"a report is complete in itself: {url[:100]} is not fetched")


def _control_row(control: dict[str, Any]) -> ControlRow:
    level, sign, word = BADGES[control["verdict"]]
    evidence = [
        {**figure, "value": _value(figure), "anchor": f"{key}-{figure['key']}"} for key, figure in control["evidence"]
    ]
    names = ("id", "gist", "exceptions", "why")
    return ControlRow(
        **{name: control[name] for name in names}, verdict=word, level=level, sign=sign, evidence=evidence
    )


def _summary(content: dict[str, Any], rows: list[ControlRow]) -> list[str]:
    verdicts = Counter(row.verdict for row in rows)
    with_exceptions = sum(row.exceptions > 0 for row in rows)
    figures = {
        f"{section['key']}.{figure['key']}": _number(figure["value"])
        for section in content.get("sections", [])
        for figure in section["figures"]
    }
    sentences = [
        f"Of {len(rows)} controls there is evidence for {verdicts['available']}, for part of {verdicts['partial']}, "
        f"and for {verdicts['none']} there is none, with the reason beside it.",
        f"In {with_exceptions} of them a figure shows an exception."
        if with_exceptions
        else "No figure shows an exception.",
    ]
    if figures:
        sentences.append(
            f"{figures['volumes.events']} events of {figures['volumes.writers']} services happened; "
            f"{figures['integrity.runs']} verifications ended, "
            f"{figures['integrity.failed']} of them found something wrong; "
            f"{figures['queue.episodes']} outages, {figures['queue.lost']} events lost."
        )
    return sentences


def _number(value: Any) -> str:
    """A number with commas, a span of seconds in the units that people read, any other text as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    span = SPAN.fullmatch(str(value))
    return _span(span) if span else str(value)


def _span(match: re.Match[str]) -> str:
    seconds = float(match[1].replace(",", ""))
    return times.precise(seconds) if seconds >= READABLE_S else match[0]


def _value(figure: dict[str, Any]) -> str:
    """The value of a figure; of one that counts seconds with the span in other words."""
    key, value, text = figure["key"], figure["value"], _number(figure["value"])
    if key in NAMES_SPANS:
        return SPAN.sub(_span, text)
    if key in COUNTS_SECONDS and isinstance(value, int) and value >= READABLE_S:
        return f"{text} ({times.precise(value)})"
    return text


def _section(section: dict[str, Any], look_up: "_LookUp") -> dict[str, Any]:
    return {
        **section,
        "remark": REMARKS.get(section["key"], ""),
        "figures": [
            {**figure, "value": _value(figure), **look_up.of_figure(section["key"], figure)}
            for figure in section["figures"]
        ],
        "tables": [_table(table, look_up) for table in section["tables"] if table["rows"]],
        "drawings": [column_chart(drawing) for drawing in section["drawings"] if any(drawing["numbers"])],
    }


def _table(table: dict[str, Any], look_up: "_LookUp") -> dict[str, Any]:
    rows = []
    for row in table["rows"]:
        first, *rest = ((_number(cell), isinstance(cell, int)) for cell in row["cells"])
        rows.append({"first": first[0], "rest": rest, "address": look_up.address(row)})
    numeric = [isinstance(cell, int) for cell in table["rows"][0]["cells"]]
    return {**table, "rows": rows, "heads": list(zip(table["columns"], numeric, strict=True))}


class _LookUp(NamedTuple):
    """Where figures and rows are looked up, as of the checkpoint of the report, of so many records."""

    site: str
    size: int | None

    def of_figure(self, section: str, figure: dict[str, Any]) -> dict[str, str]:
        name = f"{section}.{figure['key']}"
        address, how = OTHER_SOURCES.get(name, ("", ""))
        query = figure.get("query", "").replace(*OTHER_TERMS.get(name, ("", "")))
        return {"address": address if how else self.address({**figure, "query": query}), "how": how, "query": query}

    def address(self, source: dict[str, Any]) -> str:
        """The address of a search or a page; "" where there is none."""
        if source.get("query"):
            bound = "" if self.size is None else f"&as_of={self.size}"
            return f"{self.site}{reverse('admin:audit_record_changelist')}?q={quote(source['query'])}{bound}"
        return f"{self.site}{reverse('admin:index')}{source['page']}" if source.get("page") else ""


def column_chart(drawing: dict[str, Any]) -> SafeString:
    """SVG with attributes for its style: printers read no style sheet inside a figure."""
    names, numbers = drawing["names"], drawing["numbers"]
    most, step = max(numbers), CHART_WIDTH / len(numbers)
    named_every = -(-len(numbers) // MAX_CHART_NAMES)
    bars = [
        {
            "x": round(column * step + step * 0.1, 1),
            "name_x": round(min(column * step + step * 0.1, CHART_WIDTH - 40), 1),
            "y": round(CHART_TOP + CHART_HEIGHT * (1 - number / most), 1),
            "height": round(CHART_HEIGHT * number / most, 1),
            "name": name[5:] if len(name) == 10 and name[4] == "-" else name,
            "is_named": column % named_every == 0,
            "title": f"{name}: {number:,}",
        }
        for column, (name, number) in enumerate(zip(names, numbers, strict=True))
    ]
    bottom = CHART_TOP + CHART_HEIGHT
    context = {"bars": bars, "width": CHART_WIDTH, "bottom": bottom, "height": bottom + 18, "names_y": bottom + 13}
    context |= {"title": drawing["title"], "most": f"{most:,}", "bar_width": round(min(step * 0.8, 48), 1)}
    context["label"] = f"{drawing['title']}, from {names[0]} to {names[-1]}; the most: {most:,}"
    return SafeString(render_to_string("reports/columns.svg", context))
