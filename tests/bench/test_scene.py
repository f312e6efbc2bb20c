"""Runs that are compared take turns."""

from itertools import pairwise

from bench.ingest.scene import in_turns


def test_each_run_is_taken_once_a_round_and_not_always_after_the_same_one() -> None:
    taken: list[str] = []

    def run(name: str) -> float:
        taken.append(name)
        return len(taken)

    rates = in_turns(12, {name: lambda name=name: run(name) for name in "abc"})  # type: ignore[misc]
    rounds = [taken[at : at + 3] for at in range(0, 36, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert {before for each in rounds for before, name in pairwise(each) if name == "a"} == {"b", "c"}
    assert rates["a"] == [at + 1 for at, name in enumerate(taken) if name == "a"]
