"""Every target that `make help` lists does what it says, in a clone, in its shortest form."""

import re

import pytest

from tests.commands import named
from tests.commands.conftest import Clone

# Variables that make it short, and what the last line with a word in it says.
SHORT = {
    "help": ([], r"clean +Remove the virtual environment"),
    "drill": (["SHARE=0.01"], r"^nothing lost, duplicated or altered"),
    "drill-client": (["KILLS=2"], r"^nothing lost or duplicated"),
    "rotate": (["SECONDS=0.2"], r"^every key rotated, nobody refused, nothing lost"),
    "chaos": (["SECONDS=3"], r"^seed 1: nothing lost, duplicated or altered; every account exact"),
    "busy": (["SECONDS=3"], r"^slow was no outage, nothing lost, duplicated or altered"),
    "slow": (["SECONDS=1", "CONNECTIONS=20"], r"^20 slow clients of each kind at each port held nothing up"),
    "outage": (["SIZE=300"], r"^passed$"),
    "ghosts": (["KILLS=2"], r" 0 ghosts$"),
    "missing": (["EVENTS=500"], r"reconciling, all runs together"),
    "growth": (["SMALL=200", "LARGE=400", "TICKS=1"], r"^\W*400 "),
    "years": (["SHARE=0.0002"], r"measured in [\d,]+ s, 0 not within their bounds$"),
    "attacks": (["EVERY=40"], r"^5 attacks, 1 honest runs, 0 not as they must be$"),
    "bench": (["SHARE=0.02", "PEERS=no"], r"^written to .*: ingest.json, ingest.svg, rates.svg$"),
    "bench-scale": (["SHARE=0.02"], r"^every event promised, every queue empty"),
    "soak": (["MINUTES=0.1"], r"^flat: .*soak.svg$"),
    "bench-client": (["ROUNDS=1", "SECONDS=0.5"], r"^measured$"),
    "bench-log": (["SHARE=0.02"], r"inclusion proof of [\d,]+, whole"),
    "bench-queue": (["SIZE=1000", "ROUNDS=1"], r"^dry run of retry --all: .* lines of progress on the way$"),
    "bench-pages": (["SMALL=200", "LARGE=400", "ROUNDS=1"], r'^\{"list: first page": \d+'),
    "bench-export": (["RECORDS=400"], r"category:security"),
    "bench-purge": (["SHARE=0.002"], r"^the log is VERIFIED, and every bundle of before \(\d+ s\)$"),
    "sizing": ([], r"1,000,000 .* in batches "),
    "bench-import": (["EVENTS=600", "KILLS=2"], r"^each of 600 events once$"),
    "stream-drill": (["RECORDS=1000", "DOWN=1"], r"^each record in order, none left out, the same by polling$"),
    "restore-drill": (["SHARE=0.02"], r"^all of it came back \(\d+ s\)$"),
    "fix": ([], r"files? left unchanged$"),
}
ELSEWHERE = {
    "run": "tests/commands/test_site.py",
    "seed": "tests/commands/test_site.py",
    "upgrade": "tests/bench/test_upgrade.py",
    "clean": "the test below",
}
NOT_RUN = {
    "failover": "it needs root, network namespaces and etcd: tests/bench/test_failover.py tries its parts",
    "compose-test": "it needs a container engine: `.ci/run` runs it where there is one",
    "compose-restore": "the same; it is run by hand, before a release",
    "compose-upgrade": "the same; it is run by hand, before a release",
    "test": "it is what runs this test",
    "test-fast": "the same",
    "test-long": "the same",
    "check": "it is run before the tests, and takes as long as many of them",
    "lock": "it needs the network",
}


def test_every_target_is_run_or_said_why_not() -> None:
    assert sorted(named.targets()) == sorted([*SHORT, *ELSEWHERE, *NOT_RUN])


def test_the_pages_name_only_targets_that_there_are() -> None:
    assert named.made() <= set(named.targets())


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("target", SHORT)
def test_the_target_ends_well_and_says_so(clone: Clone, target: str) -> None:
    variables, last = SHORT[target]
    done = clone.make(target, *variables)
    words = [line for line in done.stdout.splitlines() if re.search(r"\w", line)]
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(last, words[-1]), done.stdout[-3000:]


@pytest.mark.slow
def test_clean_leaves_neither_environment_nor_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("clean")
    (folder / "Makefile").write_bytes((named.ROOT / "Makefile").read_bytes())
    for name in (".venv", ".local"):
        (folder / name).mkdir()
    assert Clone(folder).run("make", "clean").returncode == 0
    assert [path.name for path in folder.iterdir()] == ["Makefile"]
