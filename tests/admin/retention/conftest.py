"""A store of their own for tests that remove records."""

from uuid import UUID

import pytest

from audit.retention import legal_holds
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.retention.conftest import ANN, aged, ago, backdated_floors, seal, word


@pytest.fixture
def due(elsewhere: Scene) -> list[UUID]:
    """Three records that are due, and one that would be and is held."""
    category, actor = word(), word()
    backdated_floors(category, [(30, ago(4_000))])
    ids = [aged(ago(40), event_category=category) for _ in range(3)]
    aged(ago(40), event_category=category, actor_id=actor)
    legal_holds.place(Named(actor=actor), reason="case 7", by=ANN, matter="7/2026")
    seal()
    return ids
