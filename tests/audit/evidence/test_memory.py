"""What is read from records takes memory by portions of bytes, however many and however long the records are."""

import secrets
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

import verify
from audit.admin.search import table
from audit.ledger.verify import verify as verify_log
from audit.postgres.portions import PORTION_BYTES, portions
from tests.admin.conftest import logged_in, person
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import PINNED, made, path, sealed

MOST = 40 * 2**20
# 250 KB of text each, or what PostgreSQL writes out as 1 MB.
LONG: dict[str, Any] = {"text": "x" * 250_000}
SMALL_NUMBERS: dict[str, Any] = {"numbers": [1e-300] * 3_400}
TOGETHER = 50


def peak(act: Callable[[], Any]) -> int:
    """The most bytes that Python had at once while this went on, beyond what it had before."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sent(answer: Any) -> int:
    """How many bytes an answer has; none of them is kept."""
    assert answer.status_code == 200
    length = sum(map(len, answer)) if answer.streaming else len(answer.content)
    answer.close()
    return length


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("times", [2, 8])
def test_long_records_are_exported_listed_and_verified_in_bounded_memory(
    times: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MAX_S", 500.0)  # tracing makes all of it slower
    word, whole = f"memory-{secrets.token_hex(4)}", 0
    for turn in range(times):
        sealed(TOGETHER, correlation_id=word, event_data=SMALL_NUMBERS if turn % 2 else LONG)
        whole += TOGETHER * (1_000_000 if turn % 2 else 250_000)
    assert whole > MOST
    bundles: list[Any] = []
    assert peak(lambda: bundles.append(made(query=f"correlation:{word}"))) < MOST
    assert bundles[0].done == times * TOGETHER
    assert peak(lambda: verify.main(["evidence", str(path(bundles[0])), *PINNED])) < MOST
    assert "VERIFIED" in capsys.readouterr().out
    reader, auditor = Sender("read"), logged_in(person("auditor"))
    limit, lengths = min(times * TOGETHER, 1000), []
    assert peak(lambda: lengths.append(sent(reader.get(correlation_id=word, limit=limit)))) < MOST
    for form in ("json", "csv"):
        twin = reverse(f"admin:audit_record_{form}")
        assert peak(lambda twin=twin: lengths.append(sent(auditor.get(twin, {"q": f"correlation:{word}"})))) < MOST
    assert min(lengths) > TOGETHER * 250_000
    assert peak(lambda: verify_log("correlation", correlation_id=word, requested_by="tests")) < MOST


def test_a_portion_has_so_many_bytes_and_one_row_at_least() -> None:
    sizes = [PORTION_BYTES * 3, 1, PORTION_BYTES, PORTION_BYTES - 1, 1, 1]
    assert list(portions(sizes, int)) == [[sizes[0]], [1], [PORTION_BYTES], [PORTION_BYTES - 1, 1], [1]]
    assert list(portions([], int)) == []
