"""render: a report for people to read: on a page of the admin, as a file, and as a PDF."""

import json
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
from audit.models import Report
from audit.reports import charts

STYLE = Path(__file__).parent.parent / "static" / "audit" / "report.css"
KINDS = {"json": "application/json", "html": "text/html; charset=utf-8", "pdf": "application/pdf"}
SIGNS = {"shown": ("ok", "✓"), "partly": ("warning", "!"), "not shown": ("error", "✗")}


class PdfMissing(AuditError):
    """PDF files need WeasyPrint: install `auditsite[pdf]` and the library Pango, then start the site again."""


class Answer(NamedTuple):
    """A control with what the table says of it."""

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
    said = report.content or {}
    answers = [_answer(one) for one in said.get("controls", [])]
    groups = [
        {
            **pack,
            "answers": [
                answer for answer, one in zip(answers, said["controls"], strict=True) if one["pack"] == pack["pack"]
            ],
        }
        for pack in said.get("packs", [])
    ]
    return {
        "report": report,
        "said": said,
        "summary": _summary(report, answers),
        "groups": groups,
        "sections": [_section(one, site) for one in said.get("sections", [])],
        "beside": _aside(report.beside or {}),
        "scope": [" and ".join(", ".join(names) for names in span if names) for span in report.sight],
    }


def html(report: Report, *, site: str = "") -> str:
    """One file, complete in itself."""
    style = SafeString(STYLE.read_text(encoding="utf-8"))
    return safe_text.harmless(render_to_string("reports/whole.html", {**context(report, site=site), "style": style}))


def pdf(report: Report, *, site: str = "") -> bytes:
    """The same on pages. Raises `PdfMissing`."""
    weasyprint = _weasyprint()
    if weasyprint is None:
        raise PdfMissing
    document = weasyprint.HTML(string=html(report, site=site), url_fetcher=_refuse)
    content: bytes = document.write_pdf()
    return content


def file(report: Report, kind: str, *, site: str = "") -> bytes:
    """The report as one of KINDS. Raises `PdfMissing`."""
    if kind == "json":
        return json.dumps(twin(report), ensure_ascii=False, indent=1).encode()
    return pdf(report, site=site) if kind == "pdf" else html(report, site=site).encode()


def has_pdf() -> bool:
    """Whether WeasyPrint and its libraries are there."""
    return _weasyprint() is not None


@cache
def _weasyprint() -> ModuleType | None:
    """WeasyPrint, where it and the libraries that it loads can be used; None where not, whatever it fails with.

    What it warns of while it is imported (an old Pango, no HarfBuzz-Subset) is its own matter.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import weasyprint
        except Exception:
            return None
    return cast(ModuleType, weasyprint)


def twin(report: Report) -> dict[str, Any]:
    """For programs: what the digest covers, and what it does not."""
    return {"sha256": report.digest, "report": str(report.pk), "content": report.content, "beside": report.beside}


def _refuse(url: str, *args: Any, **options: Any) -> Any:
    raise ValueError(f"a report is complete in itself: {url[:100]} is not fetched")


def _answer(one: dict[str, Any]) -> Answer:
    level, sign = SIGNS[one["verdict"]]
    evidence = [
        {**figure, "value": _number(figure["value"]), "anchor": f"{key}-{figure['key']}"}
        for key, figure in one["evidence"]
    ]
    return Answer(one["id"], one["gist"], one["verdict"], level, sign, one["exceptions"], one["why"], evidence)


def _summary(report: Report, answers: list[Answer]) -> list[str]:
    counts = Counter(one.verdict for one in answers)
    told = sum(one.exceptions > 0 for one in answers)
    figures = {
        f"{section['key']}.{figure['key']}": figure["value"]
        for section in (report.content or {}).get("sections", [])
        for figure in section["figures"]
    }
    parts = [
        f"Of {len(answers)} controls there is evidence for {counts['shown']}, for part of {counts['partly']}, and for "
        f"{counts['not shown']} there is none, with the reason beside it.",
        f"In {told} of them a figure tells of an exception." if told else "No figure tells of an exception.",
    ]
    if figures:
        parts.append(
            f"{_number(figures['volumes.events'])} events of {_number(figures['volumes.writers'])} services happened; "
            f"{_number(figures['integrity.runs'])} verifications ended, "
            f"{_number(figures['integrity.failed'])} of them found something wrong; "
            f"{_number(figures['queue.episodes'])} outages, {_number(figures['queue.lost'])} events lost."
        )
    return parts


def _aside(beside: dict[str, Any]) -> dict[str, Any]:
    return {**beside, "lines": [(label, _number(value)) for label, value in beside.get("lines", [])]}


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _section(one: dict[str, Any], site: str) -> dict[str, Any]:
    return {
        **one,
        "figures": [
            {**figure, "value": _number(figure["value"]), "address": _address(figure, site)}
            for figure in one["figures"]
        ],
        "tables": [_table(table, site) for table in one["tables"] if table["rows"]],
        "drawings": [charts.columns(each) for each in one["drawings"] if any(each["numbers"])],
    }


def _table(table: dict[str, Any], site: str) -> dict[str, Any]:
    rows = []
    for row in table["rows"]:
        first, *rest = ((_number(cell), isinstance(cell, int)) for cell in row["cells"])
        rows.append({"first": first[0], "rest": rest, "address": _address(row, site)})
    numeric = [isinstance(cell, int) for cell in table["rows"][0]["cells"]]
    return {**table, "rows": rows, "heads": list(zip(table["columns"], numeric, strict=True))}


def _address(one: dict[str, Any], site: str) -> str:
    if one.get("query"):
        return f"{site}{reverse('admin:audit_record_changelist')}?q={quote(one['query'])}"
    return f"{site}{reverse('admin:index')}{one['page']}" if one.get("page") else ""
