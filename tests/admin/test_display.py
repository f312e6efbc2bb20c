"""Words of columns as people read them."""

import pytest

from audit.admin.display import breakable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gateway.signal.received", "gateway.<wbr>signal.<wbr>received"),
        ("admin@example.com", "admin@<wbr>example.<wbr>com"),
        ("<b>a.b</b>&", "&lt;b&gt;a.<wbr>b&lt;/<wbr>b&gt;&amp;"),
        ("\"'", "&quot;&#x27;"),
    ],
)
def test_a_long_word_may_break_between_its_parts_and_stays_text(text: str, shown: str) -> None:
    assert breakable(text) == shown
