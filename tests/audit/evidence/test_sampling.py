"""Samples: drawn by a seed that is recorded first, and drawn again by whoever checks."""

import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import Invalid
from audit.evidence import export
from audit.evidence.request import Requester
from audit.formats import grammar, sampling
from audit.ledger import reader
from audit.models import Leaf, Record
from audit.search import filters, terms
from audit.visibility import Scope
from tests.api.conftest import EXPORTS
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import ME, PINNED, leaves, lines_of, made, path, put, sealed, signed_anew, unpacked
from tests.auditor import parts, verify

Checked = Callable[..., tuple[int, str]]


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Checked:
    def checked(way: str, *where: Path, **options: str) -> tuple[int, str]:
        status = verify.main([way, *map(str, where), *PINNED])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


@given(st.sets(st.integers(0, 10**6), max_size=60), st.integers(1, 30), st.text("abc1", min_size=1, max_size=5))
def test_the_verifier_draws_what_the_store_draws(indexes: set[int], size: int, seed: str) -> None:
    drawn = sampling.draw(indexes, size, seed)
    assert drawn == verify.draw(list(indexes), {"size": size, "seed": seed})
    assert drawn == sorted(set(drawn) & indexes)
    assert len(drawn) == min(size, len(indexes))


def test_the_rank_is_the_hash_that_the_documentation_names() -> None:
    digest = hashlib.sha256(b"auditsite/sample/v1\n20261123\n7\n").digest()
    assert sampling.rank("20261123", 7) == digest


def test_a_sample_of_a_query_is_drawn_and_recorded_first(checked: Checked) -> None:
    word = sealed(12)
    sample, again = (made(query=f"correlation:{word}", sample=5, seed="20261123") for _ in range(2))
    assert (sample.done, sample.population) == (5, 12)
    assert leaves(sample) == leaves(again)
    population = Leaf.objects.filter(record_id__in=Record.objects.filter(correlation_id=word).values("id"))
    assert leaves(sample) == sampling.draw(population.values_list("index", flat=True), 5, "20261123")
    asked = Record.objects.get(correlation_id=f"export-{sample.pk}", event_type="audit.export.asked")
    assert (asked.event_data["sample"], asked.event_data["seed"]) == (5, "20261123")
    status, printed = checked("evidence", path(sample))
    assert status == 0, printed
    assert f": correlation:{word}\n" in printed
    assert "a sample of 5 of 12, drawn with the seed '20261123'" in printed
    assert "of which leaves it was drawn" in parts(printed)["Stated"]


def test_a_sample_of_a_range_is_drawn_again_without_the_range(checked: Checked, tmp_path: Path) -> None:
    sealed(12)
    size = reader.signed_head().size
    sample = made(first=size - 10, last=size, sample=4)
    assert sample.seed
    assert leaves(sample) == sampling.draw(range(size - 10, size), 4, sample.seed)
    status, printed = checked("evidence", path(sample))
    assert status == 0, printed
    assert "these are what the seed draws" in parts(printed)["Checked"]
    folder = unpacked(sample, tmp_path / "bundle")
    # There are few samples of so short a range, and a seed that is tried may draw the same.
    other = next(seed for seed in "abcdef" if sampling.draw(range(size - 10, size), 4, seed) != leaves(sample))
    signed_anew(folder, lambda manifest: manifest["sample"].update(seed=other))
    status, printed = checked("evidence", folder)
    assert status == 1
    assert f"the seed '{other}' draws leaf" in printed


def test_a_sample_with_a_record_left_out_is_refused(checked: Checked, tmp_path: Path) -> None:
    sample = made(query=f"correlation:{sealed(6)}", sample=3, seed="1")
    folder = unpacked(sample, tmp_path / "bundle")
    put(folder, lines_of(folder)[:-1])
    signed_anew(folder, lambda manifest: manifest["volumes"][0].update(count=2) or manifest.update(records=2))
    status, printed = checked("evidence", folder)
    assert status == 1
    assert "the sample has 2 records, 3 are drawn of 6" in printed


def test_with_the_range_the_sample_of_a_query_is_drawn_again(
    elsewhere: Scene, checked: Checked, tmp_path: Path
) -> None:
    word = sealed(8)
    sample = made(query=f"correlation:{word}", sample=3, seed="1")
    sealed(2)
    everything = made(query="")
    status, printed = checked("sample", path(sample), path(everything))
    assert status == 0, printed
    assert "8 of the leaves 0 to" in parts(printed)["Checked"]
    assert "of which leaves it was drawn" not in printed
    part = made(first=1)
    status, printed = checked("sample", path(sample), path(part))
    assert status == 3
    assert "the range has not all leaves" in printed
    assert checked("sample", path(everything), path(sample))[0] == 2
    folder = unpacked(sample, tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest["sample"].update(population=7))
    status, printed = checked("sample", folder, path(everything))
    assert status == 1
    assert "8 records match, and the sample is said to be of 7" in printed


def test_a_sample_that_was_chosen_and_not_drawn_is_found_with_the_range(checked: Checked, tmp_path: Path) -> None:
    sample = made(query=f"correlation:{sealed(20)}", sample=6, seed="1")
    folder = unpacked(sample, tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest["sample"].update(seed="2"))
    assert checked("evidence", folder)[0] == 0
    status, printed = checked("sample", folder, path(made(query="")))
    assert status == 1
    assert "the seed '2' draws leaf" in printed or "does not draw it" in printed


def test_a_sample_of_what_somebody_may_see_is_not_called_drawn_of_the_log(checked: Checked) -> None:
    narrow = Requester(f"a-{secrets.token_hex(4)}", sight=(Scope(("tests",), ()),))
    sample = made(narrow, query=f"correlation:{sealed(3)}", sample=2)
    status, printed = checked("sample", path(sample), path(made(query="")))
    assert status == 3
    assert "may see a part of the records" in printed


@pytest.mark.parametrize("asked", [{"sample": 0}, {"sample": 10**9}, {"seed": "1"}, {"sample": 1, "seed": "a\nb"}])
def test_a_sample_that_cannot_be_drawn_is_refused(asked: dict[str, Any]) -> None:
    sealed(1)
    with pytest.raises(Invalid) as refused:
        export.request(ME, query="outcome:failure", **asked)
    assert refused.value.errors["sample"]


def test_a_sample_is_asked_for_over_http() -> None:
    body = {"q": f"correlation:{sealed(3)}", "sample": 2, "seed": "x"}
    sample = Sender("export").post(body, path=EXPORTS).json()
    assert (sample["sample"], sample["seed"], sample["population"]) == (2, "x", None)


# --- A query means the same to the verifier ---

DATA = {"a": {"b": "x"}, "n": 1, "f": 1.5, "t": True, "none": None, "list": ["x"], "text": "1"}
QUERIES = [
    *("type:sampling.seen", "type:sampling.*", "-type:sampling.*", "type:other type:sampling.seen", "outcome:success"),
    *("-outcome:success", "actor:ann", "-actor:ann", "writer:tests", "ip:192.0.2.7", "-ip:192.0.2.7", "-cluster:x"),
    *("cluster:x", "data.a.b:x", "data.a.b:y", "-data.a.b:x", "data.n:1", 'data.n:"1"', 'data.text:"1"', "data.text:1"),
    *("data.f:1.5", "data.t:true", "data.t:1", "data.n:true", "data.none:null", "data.missing:null", "data.list:x"),
    *("data.n:1.0", "data.a:x", "on:2026-08-18", "on:2026-08-19", "after:2026-08-18T10:00:00Z"),
    *("before:2026-08-18T10:00:00Z", "until:2026-08-18T10:00:00Z", "severity:info", "category:gateway"),
    "after:2026-08-18T09:00:00Z before:2026-08-18T11:00:00Z -severity:info",
]


def test_a_query_means_to_the_verifier_what_it_means_to_the_store() -> None:
    word = sealed(1, event_type="sampling.seen", actor_id="ann", actor_ip="192.0.2.7", event_data=DATA)
    (line,) = lines_of_bundle(word)
    for text in QUERIES:
        now, query = datetime.now(UTC), grammar.parse(f"{text} correlation:{word}")
        asked = json.loads(json.dumps(terms.plain(query, now)))
        matching = Record.objects.filter(filters.where(query, now)).exists()
        assert verify.matches(line, asked) is matching, text


def test_an_address_in_any_spelling_means_the_same_to_store_and_verifier() -> None:
    sent = ["::ffff:192.0.2.7", "2001:DB8::1", "2001:db8:0:0:0:0:0:0001", "2001:0db8::0.0.0.1", "2001:db8::1:0", "::1"]
    word = f"address-{secrets.token_hex(4)}"
    for address in sent:
        sealed(1, correlation_id=word, actor_ip=address)
    lines, now = lines_of_bundle(word), datetime.now(UTC)
    assert [line["actor_ip"] for line in lines] == sent
    for text, number in {"192.0.2.7": 1, "2001:db8::1": 3, "2001:db8:0:*": 4, "192.*": 1, "::c000:207": 0}.items():
        for sign in ("", "-"):
            query = grammar.parse(f"{sign}ip:{text} correlation:{word}")
            wanted = set(Record.objects.filter(filters.where(query, now)).values_list("actor_ip", flat=True))
            asked = terms.plain(query, now)
            assert {line["actor_ip"] for line in lines if verify.matches(line, asked)} == wanted
            assert len(wanted) == (len(sent) - number if sign else number), (text, sign)


def lines_of_bundle(word: str) -> list[dict[str, Any]]:
    """The records of a correlation as the verifier reads them."""
    bundle = verify.Bundle(path(made(query=f"correlation:{word}")))
    return [record for _, record in verify.evidence_rows(bundle, "records-0001.jsonl")]
