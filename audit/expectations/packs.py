"""packs: the rules about events that must come, that every installation starts with."""

from pathlib import Path

from audit.formats import expectation
from audit.models import Expectation, newest_head

PACK = Path(__file__).parent / "packs" / "remediation.json"


def seed(using: str) -> None:
    """Make the rules of the pack that are missing; what people made of the others stays."""
    head = newest_head(using)
    pack = expectation.read_pack(PACK.read_bytes())
    for rule in pack.expectations:
        fields = {field: getattr(rule, field) for field in Expectation.FIELDS if field != "name"}
        Expectation.objects.using(using).get_or_create(
            name=rule.name, defaults={**fields, "pack": pack.pack, "first_leaf": head.size if head else 0}
        )
