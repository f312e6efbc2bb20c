"""Text from outside, made safe to store."""

import pytest

from audit.models import Writer
from audit.safe_text import storable


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfff end", "plain", ""])
def test_text_of_any_kind_can_be_stored(text: str) -> None:
    clean = storable(text)
    assert len(clean) == len(text)
    assert not Writer.objects.filter(name=clean).exists()  # PostgreSQL takes it


def test_text_is_cut_to_its_limit() -> None:
    assert storable("\x00bcdef", 3) == "\ufffdbc"
