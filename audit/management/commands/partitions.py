"""`manage.py partitions`: create the partitions of the coming months."""

from typing import Any

from django.core.management.base import BaseCommand

from audit.tasks import make_partitions


class Command(BaseCommand):
    help = "Make the partitions of the months to come (a schedule does so daily)."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{make_partitions()} partitions made.")
