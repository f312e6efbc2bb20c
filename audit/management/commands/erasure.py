"""`manage.py erasure`: ask for an erasure, show it, decide about that of somebody else, carry out what is approved."""

import sys
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.errors import Invalid
from audit.evidence.erasure import elsewhere, requests
from audit.evidence.erasure.requests import Asked, Preview
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import ErasureRequest
from audit.models.erasure.requests import Progress, progress_of

UNFINISHED = 4
RECORDS_NAMED = 100
STATES = {
    "waiting": "waiting for a second person",
    "refused": "refused",
    "approved": "under way, approved",
    "done": "done, approved",
}
SUBJECT = {
    "value": "of records in which a member has exactly this value",
    "query": "of the records that this query finds",
    "ids": "of the records with these ids, with spaces or commas between",
}


class Command(HarmlessCommand):
    help = (
        "ask: what would be erased; with --reason request it. list, show: requests, and how far each has come. "
        "approve, refuse: decide about one that somebody else asked for. run: go on with what is approved. "
        f"Exit status of run: 0 all is done, {UNFINISHED} there is more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        ask = acts.add_parser("ask", help="what would be erased; with --reason request it")
        subject = ask.add_mutually_exclusive_group(required=True)
        for kind, text in SUBJECT.items():
            subject.add_argument(f"--{kind}", help=f"{text}; - reads it from standard input")
        ask.add_argument("--member", action="append", default=[], help="such as event_data.email (default: all)")
        ask.add_argument("--basis", required=True, help="the legal basis, such as 'GDPR Art. 17(1)(b)'")
        ask.add_argument("--reason", help="why, and where the request is kept: without it nothing is requested")
        acts.add_parser("list", help="all requests, the newest first")
        show = acts.add_parser("show", help="a request, how far it has come, and what it does not reach")
        show.add_argument("erasure", type=int)
        approve = acts.add_parser("approve", help="as a second person: the values go, and do not come back")
        approve.add_argument("erasure", type=int)
        refuse = acts.add_parser("refuse", help="as a second person, with a ground")
        refuse.add_argument("erasure", type=int)
        refuse.add_argument("--ground", required=True, help="the exception, such as 'GDPR Art. 17(3)(b): tax law'")
        run = acts.add_parser("run", help="go on with what is approved")
        run.add_argument("erasure", type=int, nargs="?", help="its number (default: all)")
        run.add_argument("--seconds", type=float, help="stop after so long: the next run goes on")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act']}")(options)
        except Invalid as error:
            raise CommandError("; ".join(f"{name} {text}" for name, text in error.errors.items())) from None

    def _ask(self, options: dict[str, Any]) -> None:
        kind = next(kind for kind in SUBJECT if options[kind] is not None)
        text = sys.stdin.read() if options[kind] == "-" else options[kind]
        asked = Asked(kind, text, "\n".join(options["member"]), options["basis"], options["reason"] or "only a look")
        self._would(requests.preview(asked))
        if not options["reason"]:
            self.stdout.write("Nothing is requested: give a --reason for that.")
            return
        made = requests.ask(asked, by=operator_name())
        self.stdout.write(
            f"Erasure {made.pk} is requested: a second person decides, in the admin or by `manage.py erasure approve`."
        )

    def _list(self, options: dict[str, Any]) -> None:
        row = None
        for row in ErasureRequest.objects.select_related("decision").iterator():
            self.stdout.write(_line(row))
        if row is None:
            self.stdout.write("No erasure was requested.")

    def _show(self, options: dict[str, Any]) -> None:
        row = _get(options["erasure"])
        self.stdout.write(_line(row))
        self.stdout.write(f"under {row.basis}: {row.reason}\nrecords: {row.subject[:300]}")
        self.stdout.write(f"members: {', '.join(row.paths) or 'all that can be erased'}")
        if row.decided is None:
            self._would(requests.would_erase(row))
        for record in _progress(row).held[:RECORDS_NAMED]:
            self.stdout.write(f"held, nothing of it was erased: {record}")
        self.stdout.write("It does not reach:")
        for place in elsewhere.places(row.records):
            known = "the store does not know" if place.known is None else f"{place.known:,}"
            self.stdout.write(f"- {place.what}: {known}{f': {place.advice}' if place.known and place.advice else ''}")
            for name in place.names:
                self.stdout.write(f"    {name}")

    def _approve(self, options: dict[str, Any]) -> None:
        row = _get(options["erasure"])
        requests.decide(row, approve=True, by=operator_name())
        self.stdout.write(f"Erasure {row.pk} is approved: the schedule carries it out, or `manage.py erasure run`.")

    def _refuse(self, options: dict[str, Any]) -> None:
        row = _get(options["erasure"])
        requests.decide(row, approve=False, ground=options["ground"], by=operator_name())
        self.stdout.write(f"Erasure {row.pk} is refused, and its ground is recorded.")

    def _run(self, options: dict[str, Any]) -> None:
        number, seconds = options["erasure"], options["seconds"]
        ends_at = None if seconds is None else time.monotonic() + seconds
        unfinished = False
        for row in requests.waiting() if number is None else [_approved(number)]:
            left = None if ends_at is None else max(ends_at - time.monotonic(), 0)
            unfinished |= requests.carry_out(row, seconds=left).done_at is None
            self.stdout.write(_line(row))
        sys.exit(UNFINISHED if unfinished else 0)

    def _would(self, found: Preview) -> None:
        for path, count in found.paths.items():
            self.stdout.write(f"{path}  of {count:,} records")
        self.stdout.write(f"{len(found.records):,} records, of which {found.held:,} are held and keep everything.")


def _get(number: int) -> ErasureRequest:
    row = ErasureRequest.objects.filter(pk=number).select_related("decision").first()
    if row is None:
        raise CommandError(f"There is no erasure {number}: see `manage.py erasure list`.")
    return row


def _approved(number: int) -> ErasureRequest:
    row = _get(number)
    if row.state(_progress(row)) in ("waiting", "refused"):
        raise CommandError(f"Nothing was erased: no second person has approved erasure {number}.")
    return row


def _progress(row: ErasureRequest) -> Progress:
    return progress_of([row.pk]).get(row.pk, Progress())


def _line(row: ErasureRequest) -> str:
    progress = _progress(row)
    state = STATES[row.state(progress)]
    decided = "" if row.decided is None else f" by {row.decided.decided_by}"
    came = f", {progress.erased:,} values erased, {len(progress.held):,} records held" if progress.place else ""
    asked = f"requested by {row.asked_by} {row.asked_at:%Y-%m-%d %H:%M}Z"
    return f"erasure {row.pk}: {len(row.records):,} records, {asked}, {state}{decided}{came}"
