"""Of a record that was imported: which mapping made it of what, and which members of the original fill which field."""

from typing import Any, NamedTuple

from audit.errors import AuditError
from audit.imports import catalogue, convert, originals


class Imported(NamedTuple):
    """What is known of how a record was made. Without the mapping in its version nobody can say what filled what."""

    name: str
    version: str
    # Of what the mapping is; its name where there is no such mapping any more.
    title: str
    # The version that the mapping has now; "" where there is none.
    version_now: str
    # By field, the members that filled it; none where the mapping itself did.
    filled_by: dict[str, tuple[str, ...]]
    # The members that fill no field.
    unmapped: list[str]

    @property
    def is_known(self) -> bool:
        """Whether the mapping is here in the version that made the record."""
        return self.version == self.version_now


def imported(version: str, original: dict[str, Any]) -> Imported | None:
    """What made a record with this `version` of this original; None for a record that no mapping made."""
    if (made_by := originals.made_by(version)) is None:
        return None
    name, number = made_by
    try:
        mapping = catalogue.every().get(name)
    except AuditError:  # a file of the operator's cannot be read: the page of mappings says why
        mapping = None
    if mapping is None or mapping.version != number:
        title = mapping.title if mapping else name
        return Imported(name, number, title, mapping.version if mapping else "", {}, [])
    filled_by = {each.field: each.members for each in convert.filled(original, mapping)}
    return Imported(name, number, mapping.title, number, filled_by, convert.unmapped(original, mapping))
