"""`auditclient send|tail|status|verify`: the client on the command line. It is configured by the environment."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import httpx

from auditclient import kept_files, receipts, spool
from auditclient.client import Client
from auditclient.config import Config
from auditclient.errors import AuditError, InvalidEvent, NotAReceipt

DONE, FAILED, WAITING = 0, 2, 3
TAIL_PAUSE_S = 2.0
RECEIPTS_PER_REQUEST = 1_000


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status: 0 done, 2 it could not be done, 3 events wait in the spool."""
    parser = argparse.ArgumentParser(prog="auditclient", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    send = commands.add_parser("send", help="record the events of a file, a JSON object a line, and send them")
    send.add_argument("file", nargs="?", type=argparse.FileType("r", encoding="utf-8"), default=sys.stdin)
    send.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the store (30)")
    tail = commands.add_parser("tail", help="print the newest records as JSON lines (needs the scope read)")
    tail.add_argument("--follow", action="store_true", help="go on until it is interrupted")
    tail.add_argument("--limit", type=int, default=10)
    commands.add_parser("status", help="print what waits in the spool, and how the store is")
    commands.add_parser("verify", help="verify the receipts that were kept, here and at the store")
    options = parser.parse_args(arguments)
    try:
        config = Config.of_environment()
        config.check()
        return {"send": _send, "tail": _tail, "status": _status, "verify": _verify}[options.command](config, options)
    except (AuditError, httpx.HTTPError, OSError) as error:
        print(error or type(error).__name__, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return DONE


def _send(config: Config, options: argparse.Namespace) -> int:
    refused = 0
    with Client(config) as client:
        lines: TextIO = options.file
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    client.record(_event(line), durability="process")
                except InvalidEvent as error:
                    refused += 1
                    print(f"line {number}: {error}", file=sys.stderr)
        client.sync()
        flushed = client.close(options.timeout)
        counts = client.counts.as_dict() | {"refused": refused, "waiting": flushed.left}
    print(json.dumps({name: count for name, count in counts.items() if count}))
    if refused or counts["rejected"]:
        return FAILED
    return DONE if flushed.is_done else WAITING


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise InvalidEvent(f"This is no JSON: {error}.") from None
    if not isinstance(event, dict):
        raise InvalidEvent("An event is a JSON object.")
    return event


def _tail(config: Config, options: argparse.Namespace) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    printed: dict[str, None] = {}
    with _http(config) as http:
        while True:
            answer = http.get(f"{config.url}/events", params={"limit": options.limit})
            answer.raise_for_status()
            for record in reversed(answer.json()["data"]):
                if record["event_id"] not in printed:
                    print(json.dumps(record, ensure_ascii=False), flush=True)
                printed[record["event_id"]] = None
            for event_id in list(printed)[: -10 * options.limit]:
                del printed[event_id]
            if not options.follow:
                return DONE
            time.sleep(TAIL_PAUSE_S)


def _status(config: Config, options: argparse.Namespace) -> int:
    files = sorted(config.spool_dir.glob(f"*{spool.SUFFIX}"))
    status: dict[str, Any] = {
        "waiting": sum(spool.waiting(path) for path in files),
        "bytes": spool.size(config.spool_dir),
        "rejected": sum(1 for _ in kept_files.rejected(config.spool_dir)),
        "receipts": sum(1 for _ in kept_files.receipts(config.spool_dir)),
    }
    try:
        with _http(config) as http:
            status["store"] = http.get(config.url.removesuffix("/api/v1/audit") + "/readyz").json().get("status")
    except (httpx.HTTPError, ValueError) as error:
        status["store"] = f"does not answer ({type(error).__name__})"
    print(json.dumps(status))
    return WAITING if status["waiting"] else DONE


def _verify(config: Config, options: argparse.Namespace) -> int:
    """Verify signatures with the keys that are configured, then ask the store what became of each event."""
    notes, keys = list(kept_files.receipts(config.spool_dir)), receipts.keys(config.receipt_keys)
    bad = sum(1 for note in notes if keys and not _is_signed(note, keys))
    counts: dict[str, int] = {}
    verdicts: list[str] = []
    with _http(config) as http:
        for part in _parts(notes):
            answer = http.post(f"{config.url}/receipts/verify", json={"receipts": part})
            answer.raise_for_status()
            verdicts.append(answer.json()["verdict"])
            for state, count in answer.json()["counts"].items():
                counts[state] = counts.get(state, 0) + count
    verdict = sorted(set(verdicts))
    print(json.dumps({"receipts": len(notes), "not_signed": bad, "verdicts": verdict, "events": counts}))
    return DONE if notes and not bad and verdict == ["kept"] else FAILED


def _is_signed(note: str, keys: list[receipts.Key]) -> bool:
    try:
        receipts.verify(note, keys)
    except NotAReceipt:
        return False
    return True


def _parts(notes: list[str]) -> Iterable[list[str]]:
    return (notes[first : first + RECEIPTS_PER_REQUEST] for first in range(0, len(notes), RECEIPTS_PER_REQUEST))


def _http(config: Config) -> httpx.Client:
    verify: Any = httpx.create_ssl_context(verify=config.ca_file) if config.ca_file else True
    headers = {"Authorization": f"Bearer {config.key}"}
    return httpx.Client(headers=headers, timeout=config.timeout_s, verify=verify, trust_env=False)


if __name__ == "__main__":
    sys.exit(main())
