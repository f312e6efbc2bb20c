"""Words of columns as people read them."""

import pytest

from audit.admin.display import breakable, waiting_records


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


def test_records_that_wait_are_counted_in_words() -> None:
    assert waiting_records(1, 1) == "1 record waits, the oldest for 1 s"
    assert waiting_records(1_200, 7_200) == "1,200 records wait, the oldest for 2 h"
    assert waiting_records(15_240_000, 7_200) == "about 15,240,000 records wait, the oldest for 2 h"
