"""The witness: what it cosigns, what it refuses, and that it never forgets."""

import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from audit.formats import merkle, note
from audit.formats.note import Signer
from audit.ledger.witness_server import HttpAnswer, Witness, serve
from tests.audit.formats.conftest import hashes, leaves_of

LOG = Signer("witnessed.example/log", bytes(range(32)))
NEXT_KEY = Signer("witnessed.example/log", bytes(range(1, 33)))
LEAVES = leaves_of(40)
OTHER = [merkle.leaf_hash(b"another history"), *LEAVES[1:]]


def head(size: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> str:
    text = note.TreeHead(signer.name, size, merkle.root(leaves[:size])).text
    return note.join(text, [signer.sign(text)])


def body(old: int, new: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> bytes:
    proof = hashes(leaves[:new], merkle.consistency_spans(old, new)) if old <= new else []
    lines = "".join(f"{note.encode64(one)}\n" for one in proof)
    return f"old {old}\n{lines}\n{head(new, leaves, signer)}".encode()


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness.create(tmp_path, "witness.example/w", [LOG.verifier, NEXT_KEY.verifier])


@pytest.fixture
def address(witness: Witness) -> Iterator[str]:
    server = serve(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(address: str, data: bytes) -> HttpAnswer:
    try:
        with urllib.request.urlopen(f"{address}/add-checkpoint", data, timeout=10) as answer:
            return HttpAnswer(answer.status, answer.read().decode(), answer.headers["Content-Type"])
    except urllib.error.HTTPError as error:
        with error:
            return HttpAnswer(error.code, error.read().decode(), error.headers["Content-Type"])


def test_it_cosigns_a_log_as_it_grows(witness: Witness, address: str) -> None:
    for old, new in [(0, 5), (5, 8), (8, 8), (8, 40)]:
        answer = ask(address, body(old, new))
        assert answer.status == 200
        text, _ = note.split(head(new))
        _, (signed,) = note.verify(note.join(text, [answer.text]), [witness.verifier])
        assert signed.moment is not None


def test_it_shows_the_newest_head_it_has_seen(witness: Witness, address: str) -> None:
    ask(address, body(0, 7))
    url = f"{address}/{sha256(LOG.name.encode()).hexdigest()}/checkpoint"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text, signed = note.verify(answer.read().decode(), [LOG.verifier, witness.verifier])
    assert note.TreeHead.parse(text).size == 7
    assert len(signed) == 2


A_HASH = note.encode64(bytes(32)).encode() + b"\n"
REFUSED = {
    "an unknown log": (body(0, 5, signer=Signer("else.example/log", bytes(32))), 404),
    "a key that is not the log's": (body(0, 5, signer=Signer(LOG.name, bytes(32))), 403),
    "an old size larger than the new": (body(12, 9), 400),
    "an old size that was not seen": (body(5, 12), 409),
    "a smaller tree": (body(5, 9), 409),
    "another root for the same size": (body(10, 10, OTHER), 422),
    "another history": (body(10, 20, OTHER), 422),
    "a proof that is too long": (
        body(10, 10).replace(b"\n\n", b"\n" + note.encode64(bytes(32)).encode() + b"\n\n", 1),
        422,
    ),
    "no proof": (f"old 10\n\n{head(20)}".encode(), 422),
    "no text": (b"", 400),
    "not UTF-8": (b"\xff\xfe", 400),
    "no size": (body(10, 20).replace(b"old 10", b"old ten"), 400),
    "a negative size": (body(10, 20).replace(b"old 10", b"old -10"), 400),
    "no blank line": (body(10, 20).replace(b"\n\n", b"\n"), 400),
    "a damaged proof": (body(10, 20).replace(b"=\n", b"\n", 1), 400),
    "too many hashes": (
        b"old 10\n" + (note.encode64(bytes(32)).encode() + b"\n") * 64 + b"\n" + head(20).encode(),
        400,
    ),
    "too much": (b"x" * 70_000, 413),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses(address: str, data: bytes, status: int) -> None:
    assert ask(address, body(0, 10)).status == 200
    answer = ask(address, data)
    assert answer.status == status
    if status == 409:
        assert (answer.text, answer.content_type) == ("10\n", "text/x.tlog.size")
    assert ask(address, body(10, 11)).status == 200


def test_a_first_head_needs_no_proof_and_may_have_none(witness: Witness) -> None:
    with_proof = body(0, 5).replace(b"\n\n", b"\n" + A_HASH + b"\n", 1)
    assert witness.add_checkpoint(with_proof).status == 422
    assert witness.add_checkpoint(body(0, 5)).status == 200


def test_it_knows_a_rotated_key_of_the_log(witness: Witness) -> None:
    assert witness.add_checkpoint(body(0, 5)).status == 200
    assert witness.add_checkpoint(body(5, 9, signer=NEXT_KEY)).status == 200


def test_it_remembers_over_a_restart_and_keeps_its_key(witness: Witness, tmp_path: Path) -> None:
    assert witness.add_checkpoint(body(0, 10)).status == 200
    again = Witness.create(tmp_path, "another.name", [LOG.verifier])
    assert again.verifier == witness.verifier
    assert again.add_checkpoint(body(0, 5)).status == 409
    assert again.add_checkpoint(body(10, 12, OTHER)).status == 422
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_of_many_at_once_one_wins_each_step(witness: Witness, address: str) -> None:
    ask(address, body(0, 1))
    for _ in range(8):
        old = seen(witness)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda data: ask(address, data), [body(old, old + 1 + n % 2) for n in range(8)]))
        assert sorted(answer.status for answer in answers) == [200, *[409] * 7]
        assert seen(witness) in (old + 1, old + 2)


def seen(witness: Witness) -> int:
    text = witness.checkpoint(sha256(LOG.name.encode()).hexdigest())
    assert text is not None
    return note.TreeHead.parse(note.split(text)[0]).size


@pytest.mark.slow
def test_the_command_serves_and_survives_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "witness", "--state", str(tmp_path), "--listen", "127.0.0.1:0"]
    command += ["--name", "w.example", "--log", str(LOG.verifier)]
    for old, new, sign in [(0, 5, signal.SIGKILL), (5, 9, signal.SIGTERM)]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.removeprefix("SEAL_WITNESSES=").partition("=")[0]
        assert ask(url, body(old, new)).status == 200
        process.send_signal(sign)
        process.wait(timeout=60)
        process.stdout.close()
    assert process.returncode == 0
