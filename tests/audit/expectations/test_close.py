"""What is unmet closes when its answer comes, however much of one correlation one answer closes."""

import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.completeness import reconcile
from audit.expectations import close
from audit.ledger import seal
from audit.models import Expectation, LateAnswer, Unmet
from audit.postgres import sql
from tests import plans
from tests.audit.conftest import BATCH, Sender
from tests.audit.expectations.conftest import MakeRule, an, correlation, follow, found

MANY = """
INSERT INTO audit_unmet (expectation_id, subject, key, writer, since, due_at, wanted, kind, expect_types, came,
    found_at, told_at, closed_at, explanation, owner)
SELECT %(rule)s, %(subject)s, 'k' || n, 'w', now(), now(), 'y', 'has', '["never.comes"]', 0, now(), now(),
    CASE WHEN %(is_closed)s THEN now() END, '', '' FROM generate_series(1, %(count)s) n
"""


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close, "AT_ONCE", 10)
    monkeypatch.setattr(close, "PORTION", 10)


def unmet(sender: Sender, rule: Expectation, count: int, *, of: str) -> None:
    """So many findings of a correlation, a second between each."""
    sender.post([an(rule, "x", seconds, of=of) for seconds in range(count)], BATCH)
    follow()
    assert [each.state for each in found(rule) if each.subject == of] == ["open"] * count


def states(rule: Expectation, of: str) -> list[str]:
    return [each.state for each in found(rule) if each.subject == of]


def read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read what was sent by a run that has no time for anything behind its step."""
    while seal.Sealer().once().more:
        pass
    with monkeypatch.context() as patched:
        patched.setattr(close, "close_more", lambda: False)
        reconcile.reconcile()


@pytest.mark.usefixtures("few_at_once")
def test_however_many_an_answer_closes_a_statement_closes_a_portion_of_them(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    unmet(sender, ends, 25, of=of)
    sender.post(an(ends, "y", 10, of=of))
    with CaptureQueriesContext(connections["default"]) as queries:
        follow()
    assert states(ends, of) == ["closed"] * 11 + ["open"] * 14
    writes = [query["sql"] for query in queries if re.match(r'\s*UPDATE "?audit_unmet', query["sql"])]
    assert len([text for text in writes if "met_at" in text]) == 2, writes
    assert not LateAnswer.objects.filter(subject=of).exists()


@pytest.mark.usefixtures("few_at_once")
def test_a_portion_is_a_transaction_of_its_own_and_what_is_cut_off_goes_on_from_there(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, of, other = rule(), correlation(), correlation()
    unmet(sender, ends, 25, of=of)
    unmet(sender, ends, 1, of=other)
    sender.post([an(ends, "y", 15, of=of), an(ends, "y", 5, of=other)], BATCH)
    read_late(monkeypatch)
    assert (states(ends, of), states(ends, other)) == (["open"] * 25, ["closed"]), "nobody else's wait for it"
    assert close.close_more()
    assert states(ends, of) == ["closed"] * 10 + ["open"] * 15
    with monkeypatch.context() as patched:
        patched.setattr(LateAnswer, "save", lambda *arguments, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            close.close_more()
    assert states(ends, of) == ["closed"] * 10 + ["open"] * 15
    while close.close_more():
        pass
    assert states(ends, of) == ["closed"] * 16 + ["open"] * 9
    assert not LateAnswer.objects.filter(subject=of).exists()


def test_a_step_closes_so_many_of_all_and_leaves_the_rest_for_later(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, names = rule(), sorted(correlation() for _ in range(4))
    for of in names:
        unmet(sender, ends, 3, of=of)
    monkeypatch.setattr(close, "SUBJECTS", 1)
    monkeypatch.setattr(close, "IN_A_STEP", 5)
    sender.post([an(ends, "y", 9, of=of) for of in names], BATCH)
    read_late(monkeypatch)
    assert [set(states(ends, of)) for of in names] == [{"closed"}, {"closed"}, {"open"}, {"open"}]
    follow()
    assert [set(states(ends, of)) for of in names] == [{"closed"}] * 4


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("order", [(10, 5), (5, 10)])
def test_of_answers_that_are_left_for_later_the_earliest_counts(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
    ends, of = rule(within_s=3), correlation()
    unmet(sender, ends, 12, of=of)
    answers = {}
    for second in order:
        answers[second] = an(ends, "y", second, of=of)
        sender.post(answers[second])
        read_late(monkeypatch)
    assert LateAnswer.objects.filter(subject=of).count() == 2
    while close.close_more():
        pass
    met_by = [answers[5 if second <= 5 else 10]["event_id"] if second <= 10 else "None" for second in range(12)]
    assert [str(each.met_by) for each in found(ends)] == met_by


@pytest.mark.usefixtures("few_at_once")
def test_what_an_answer_may_yet_close_is_not_told_for_an_hour_and_the_rest_is(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, of, other = rule(), correlation(), correlation()
    with monkeypatch.context() as patched:
        patched.setattr(reconcile, "_notify_unmet", lambda now: None)
        unmet(sender, ends, 12, of=of)
        unmet(sender, ends, 1, of=other)
        sender.post(an(ends, "y", 15, of=of))
        read_late(patched)
    monkeypatch.setattr(close, "close_more", lambda: False)
    follow()
    assert not Unmet.objects.filter(subject=of, told_at__isnull=False).exists()
    assert Unmet.objects.get(subject=other).told_at is not None
    sql.run("UPDATE audit_lateanswer SET read_at = now() - interval '2 hours' WHERE subject = %s", [of])
    follow()
    assert Unmet.objects.filter(subject=of, told_at__isnull=False).count() == 12
    LateAnswer.objects.filter(subject=of).delete()


@pytest.mark.usefixtures("few_at_once")
def test_a_run_whose_time_is_over_says_that_findings_are_left_to_close(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, of = rule(), correlation()
    unmet(sender, ends, 35, of=of)
    sender.post(an(ends, "y", 50, of=of))
    read_late(monkeypatch)
    seconds = itertools.count(1_000)
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    done = reconcile.reconcile(seconds=1)
    assert "findings to close" in done.left
    assert 10 <= states(ends, of).count("closed") <= 20
    while "findings to close" in reconcile.reconcile(seconds=1).left:
        pass
    assert set(states(ends, of)) == {"closed"}


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_step_reads_few_findings_of_a_correlation_that_has_very_many(
    sender: Sender, rule: MakeRule, is_closed: bool
) -> None:
    ends, of = rule(), correlation()
    follow()  # what other tests sent is not read in the step that this test looks at
    sql.run(MANY, {"rule": ends.pk, "subject": of, "count": 3_000, "is_closed": is_closed})
    sender.post(an(ends, "y", of=of))
    with CaptureQueriesContext(connections["default"]) as queries:
        follow()
    assert not LateAnswer.objects.filter(subject=of).exists()
    looks: list[Any] = [query["sql"] for query in queries if "FROM audit_unmet" in query["sql"] and of in query["sql"]]
    asked = [text for text in looks if text.lstrip().startswith("SELECT")]
    assert len(asked) >= 2 - is_closed
    with sql.in_order():
        for text in asked:
            read = [each for each in plans.reads(text) if " of audit_unmet" in each.node]
            assert sum(each.rows for each in read) <= (0 if is_closed else close.PORTION), plans.most(read)
    assert any(query["sql"] == asked[0] for query in queries) and "enable_sort" in str([*queries])
