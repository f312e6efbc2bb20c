"""Which messages a selection takes, and that reading for them has an end."""

import pytest

from dlq.selection import Selection
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked


def test_a_selection_takes_what_passes_all_its_filters(stream: Stream) -> None:
    first, second, third = parked(stream, 3)
    stream.fail(first, "DataError", "no", dead=True)
    stream.fail(second, "DataError", "no")
    ids = {name: [message.id for message in selection.all(stream)] for name, selection in SELECTIONS.items()}
    assert ids == {
        "all": [first.id, second.id, third.id],
        "dead": [first.id],
        "error": [first.id, second.id],
        "reason": [third.id],
        "both": [second.id],
        "nobody": [],
        "old": [],
        "source": [first.id, second.id, third.id],
    }


SELECTIONS = {
    "all": Selection(),
    "dead": Selection(state="dead"),
    "error": Selection(error="DataError"),
    "reason": Selection(error="tests"),
    "both": Selection(state="waiting", error="DataError"),
    "nobody": Selection(source="nobody"),
    "old": Selection(older_s=3600),
    "source": Selection(source="source", kind="a.kind"),
}


def test_a_selection_takes_what_has_a_text_and_meets_a_condition(stream: Stream) -> None:
    stream.park([a_document(body=b'{"n": 1}'), a_document(body=b'{"n": 2}')], reason="tests")
    first, second = stream.pages.page(limit=10)
    assert [*Selection(text='"n": 2').all(stream)] == [second]
    assert [*Selection(text='"n": 3').all(stream)] == []
    assert [*Selection(text="n", where=lambda message: message.id == first.id).all(stream)] == [first]


@pytest.mark.parametrize("selection", [Selection(), Selection(source="source")], ids=["every", "narrow"])
def test_pages_follow_each_other_without_gap_or_repeat(stream: Stream, selection: Selection) -> None:
    ids = [message.id for message in parked(stream, 11)]
    seen: list[str] = []
    after = None
    while True:
        page, after = selection.some(stream, limit=4, after=after, looks=1000)
        seen += [message.id for message in page]
        if after is None:
            break
    assert seen == ids


def test_a_page_reads_so_many_messages_and_says_where_to_go_on(stream: Stream) -> None:
    messages = parked(stream, 10)
    stream.fail(messages[8], "Rare", "error")
    rare = Selection(error="Rare")
    page, after = rare.some(stream, limit=5, after=None, looks=6)
    assert (page, after) == ([], messages[5].id)
    page, after = rare.some(stream, limit=5, after=after, looks=6)
    assert [message.id for message in page] == [messages[8].id]
