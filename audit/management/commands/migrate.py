"""`manage.py migrate` as the owner role: no other role may change the schema."""

from django.core.management.base import CommandParser
from django.core.management.commands import migrate


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # The live checks expect what this command is about to create.
        parser.set_defaults(database="owner", skip_checks=True)
