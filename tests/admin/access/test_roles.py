"""docs/access.md says who may what: as the seed gives it."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from audit.access import roles

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text(encoding="utf-8")
MEANS = {
    "read, search and download records, proofs and bundles": {"audit.view_record"},
    "see the access log": {"audit.view_access"},
    "see checkpoints, verifications and findings": {
        "audit.view_checkpoint",
        "audit.view_verification",
        "audit.view_finding",
    },
    "start a verification": {"audit.start_verification"},
    "make evidence bundles, and fetch one's own": {"audit.make_export", "audit.view_export"},
    "see legal holds": {"audit.view_legalhold"},
    "place and release legal holds": {"audit.place_legalhold"},
    "see for how long records are kept, and what was requested": {"audit.view_retentionrequest"},
    "request changes of it": {"audit.ask_retention"},
    "approve those that another requested": {"audit.approve_retention"},
    "have statements signed, and see them": {"audit.view_statement", "audit.make_statement"},
    "make them without redaction": {"audit.export_unredacted"},
    "see archives, and what their checks said": {"audit.view_archive"},
    "see [streams](streams.md), and what their targets said": {"audit.view_stream"},
    "see [schemas](schemas.md) of event types": {"audit.view_eventschema"},
    "register schemas": {"audit.add_eventschema"},
    "search records that were read back from archives": {"audit.view_archivedrecord"},
    "see rules of redaction": {"audit.view_redactionrule"},
    "make rules of redaction": {"audit.add_redactionrule", "audit.change_redactionrule"},
    "see erasures and their rules": {"audit.view_erasurerequest", "audit.view_erasurerule"},
    "make rules of erasure; ask for an erasure; decide about one that somebody else asked for": {
        *("audit.add_erasurerule", "audit.change_erasurerule", "audit.ask_erasure", "audit.decide_erasure"),
    },
    "make and read compliance reports": {"audit.make_report", "audit.view_report"},
    "see the dead letter queue, payloads included": {"audit.view_parked"},
    "see the quarantine": {"audit.view_quarantined"},
    "retry, snooze, correct and quarantine parked events, ask for a discard": {"audit.retry_parked"},
    "approve a discard that another asked for": {"audit.approve_discard"},
    "see outages": {"audit.view_episode"},
    "write the remediation of an outage": {"audit.note_episode"},
    "see what never came, broken promises, coverage and the account": {
        *("audit.view_gap", "audit.view_manifest", "audit.view_hourcount"),
        *("audit.view_brokenpromise", "audit.view_unmet", "audit.view_account"),
    },
    "verify receipts": {"audit.verify_receipt"},
    "see samples of what was refused": {"audit.view_rejectedsample"},
    "see rules about events that must come": {"audit.view_expectation"},
    "make such rules": {"audit.add_expectation", "audit.change_expectation"},
    "waive what a rule asks for": {"audit.add_waiver"},
    "explain what never came": {"audit.explain_gap"},
    "see the daily review": {"audit.view_review", "audit.view_missedreview"},
    "sign the daily review": {"audit.sign_review"},
    "see writers": {"audit.view_writer"},
    "make writers, give and revoke keys": {"audit.add_writer", "audit.change_writer", "audit.view_writerkey"},
    "manage people and their groups": {"auth.view_user", "auth.add_user", "auth.change_user", "auth.view_group"},
    "grant rights that another asked for": {"audit.view_rightsrequest", "audit.approve_rights"},
    "approve that the log of a restored store goes on": {"audit.approve_logresume"},
    "see the mappings of imports": {"audit.view_importmapping"},
    "try a mapping on a sample ([imports](imports.md#the-page))": {"audit.try_importmapping"},
    "set scopes": {f"audit.{act}_auditorscope" for act in ("view", "add", "change", "delete")},
}
"""The rights behind each line of the page."""
UNLISTED = {"audit.view_discard", "audit.view_waiver", "django_q.view_schedule", "django_q.view_failure"}
"""Of no consequence for records or people."""


def table() -> dict[str, dict[str, bool]]:
    """What the first table of the page says: of each line, which groups may."""
    lines = re.findall(r"^\| .+ \|$", PAGE, re.MULTILINE)[: len(MEANS) + 1]
    (_, *groups), *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {what: {group: cell == "yes" for group, cell in zip(groups, cells, strict=True)} for what, *cells in rows}


def test_the_page_names_every_right_and_gives_it_as_the_seed_does() -> None:
    found = table()
    assert set(found) == set(MEANS)
    for line, rights in MEANS.items():
        given = {group: rights <= set(of_group) for group, of_group in roles.GROUPS.items()}
        assert found[line] == given, line
    named = UNLISTED.union(*MEANS.values())
    assert {right for rights in roles.GROUPS.values() for right in rights} <= named


@pytest.mark.parametrize("name", roles.GROUPS)
def test_every_group_is_there_with_its_rights(name: str) -> None:
    group = Group.objects.get(name=name)
    labels = {f"{found.content_type.app_label}.{found.codename}" for found in group.permissions.all()}
    assert labels == set(roles.GROUPS[name])


def test_an_administrator_reads_no_records() -> None:
    assert not {"audit.view_record", "audit.view_access", "audit.view_quarantined"} & set(roles.GROUPS["administrator"])
