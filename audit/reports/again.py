"""again: what differs where a report was made again from the same checkpoint: its sections, or its sets of controls.

The text of a set of controls can change with a new version of the store, or of CONTROL_PACKS. That is no fault of the
log, so it is told apart, by name: which set, which of its controls, and the text of then and of now.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from audit.models import Report

NAMED = 5


class Differences(NamedTuple):
    """What is not as it was. All are empty where the report is the same, or the first."""

    sections: list[str]
    """The titles of the sections that differ: what was computed from the log is another thing."""
    packs: list[str]
    """A sentence for each set of controls whose text is another."""

    def __str__(self) -> str:
        return " ".join([", ".join(self.sections), *self.packs]).strip()


def differences(report: Report) -> Differences:
    """Compare a report with the first that it repeats."""
    if report.is_same is not False or report.again_of is None:
        return Differences([], [])
    first, again = report.again_of.content or {}, report.content or {}
    before = {section["key"]: section for section in first.get("sections", [])}
    titles = [section["title"] for section in again.get("sections", []) if before.get(section["key"]) != section]
    texts = [_texts(each) for each in (report.again_of, report)]
    packs = [
        sentence
        for pack in again.get("packs", [])
        if (sentence := _sentence(pack, first, again, [each.get(pack["pack"], "") for each in texts]))
    ]
    if not (titles or packs):
        titles = ["what stands above the sections"]
    return Differences(titles, packs)


def _texts(report: Report) -> Mapping[str, str]:
    """The fingerprints of the sets, by their names: reports from before there were any have none."""
    texts: dict[str, str] = (report.beside or {}).get("packs", {})
    return texts


def _sentence(pack: dict[str, str], first: dict[str, Any], again: dict[str, Any], texts: list[str]) -> str:
    name = pack["pack"]
    before, after = (
        {each["id"]: each for each in content["controls"] if each["pack"] == name} for content in (first, again)
    )
    changed = [
        control for control in dict.fromkeys([*before, *after]) if _is_another(before.get(control), after.get(control))
    ]
    heads = [head for content in (first, again) for head in content["packs"] if head["pack"] == name]
    if not changed and heads[0] == heads[-1]:
        return ""
    named = ", ".join(changed[:NAMED]) + (f" and {len(changed) - NAMED} more" if len(changed) > NAMED else "")
    then, now = (
        f"version {head['version']}{f', text {text}' if text else ''}"
        for head, text in zip((heads[0], heads[-1]), texts, strict=True)
    )
    what = f"Its controls {named} are worded otherwise." if named else "Its head is another."
    return f"The set of controls {pack['title']} is not that of the first report ({then}); this site has {now}. {what}"


def _is_another(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    """Whether the text of a control is another; what follows from other figures is none of the text."""
    if before is None or after is None:
        return True
    figures = [[[key, figure["key"]] for key, figure in control["evidence"]] for control in (before, after)]
    if before["gist"] != after["gist"] or figures[0] != figures[1]:
        return True
    return bool(before["evidence"] == after["evidence"] and before["why"] != after["why"])
