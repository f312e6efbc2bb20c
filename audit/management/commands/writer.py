"""`manage.py writer`: the writers and their keys."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audit.access import api_keys
from audit.ingest import trail
from audit.management.harmless import operator_name
from audit.models import Writer

MAX_OVERLAP = timedelta(days=366)


class Command(BaseCommand):
    help = "Create, list, rotate and revoke the API keys of writers."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="a new writer, and its first key")
        create.add_argument("name")
        create.add_argument("--scopes", nargs="+", choices=Writer.SCOPES, default=["write"])
        actions.add_parser("list", help="all writers and the state of their keys")
        rotate = actions.add_parser("rotate", help="a new key; the old ones work on for a while")
        rotate.add_argument("name")
        rotate.add_argument("--overlap", type=int, metavar="HOURS", help="how long; 0: they stop at once")
        revoke = actions.add_parser("revoke", help="all keys stop")
        revoke.add_argument("name")
        revoke.add_argument("--old", action="store_true", help="all but the newest")
        subject = actions.add_parser("subject", help="tokens of JWT_ISSUER with this subject speak as the writer")
        subject.add_argument("name")
        subject.add_argument("subject", help="such as system:serviceaccount:NAMESPACE:NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list()
        elif options["action"] == "create":
            self._create(options["name"], options["scopes"])
        else:
            self._change(options)

    def _create(self, name: str, scopes: list[str]) -> None:
        writer = Writer(name=name, scopes=scopes)
        try:
            writer.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        self._record("created", name, scopes=scopes)
        writer.save()
        self.stdout.write(api_keys.issue(writer))
        self.stderr.write("Keep this key now: only its digest is stored, it cannot be shown again.")

    def _list(self) -> None:
        for writer in Writer.objects.prefetch_related("keys"):
            self.stdout.write(f"{writer.name}  {','.join(writer.scopes)}")
            for key in writer.keys.all():
                self.stdout.write(f"  {key}  made {key.created_at:%Y-%m-%d %H:%M}Z  {_state(key)}")

    def _change(self, options: dict[str, Any]) -> None:
        name = options["name"]
        writer = Writer.objects.filter(name=name).first()
        if writer is None:
            raise CommandError(f"There is no writer {name!r}: `manage.py writer list` shows all.")
        if options["action"] == "subject":
            self._admit(writer, options["subject"])
        elif options["action"] == "rotate":
            self._rotate(writer, options["overlap"])
        else:
            self._record("revoked", name, old=options["old"])
            count = api_keys.revoke_old(writer) if options["old"] else api_keys.revoke(writer)
            self.stdout.write(f"{count} keys of {name} revoked; no process serves them after 5 s.")

    def _rotate(self, writer: Writer, hours: int | None) -> None:
        overlap = api_keys.overlap() if hours is None else timedelta(hours=hours)
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise CommandError(f"--overlap takes hours, from 0 to {MAX_OVERLAP // timedelta(hours=1)}.")
        self._record("rotated", writer.name, overlap_hours=overlap // timedelta(hours=1))
        self.stdout.write(api_keys.rotate(writer, overlap=overlap))
        ends = f"until {timezone.now() + overlap:%Y-%m-%d %H:%M}Z" if overlap else "no more"
        self.stderr.write(f"Keep this key now: it cannot be shown again. The old ones work {ends}.")

    def _admit(self, writer: Writer, subject: str) -> None:
        if not settings.JWT_ISSUER:
            raise CommandError("No issuer of tokens is set: JWT_ISSUER (docs/access.md, Tokens).")
        self._record("subject-admitted", writer.name, subject=subject, issuer=settings.JWT_ISSUER)
        try:
            api_keys.admit_subject(writer, subject)
        except api_keys.SubjectTaken as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Tokens of {settings.JWT_ISSUER} with the subject {subject} speak as {writer.name}.")

    def _record(self, act: str, name: str, **facts: Any) -> None:
        """Record the act before it is done: what cannot be recorded is not done."""
        trail.add(f"audit.writer.{act}", actor=operator_name(), correlation=f"writer-{name}", name=name, **facts)


def _state(key: Any) -> str:
    used = f"used {key.used_at:%Y-%m-%d %H:%M}Z" if key.used_at else "never used"
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}Z, {used}"
    if key.expires_at and key.expires_at < timezone.now():
        return f"expired {key.expires_at:%Y-%m-%d %H:%M}Z, {used}"
    return f"valid{f' until {key.expires_at:%Y-%m-%d %H:%M}Z' if key.expires_at else ''}, {used}"
