"""What the queue is made of, from a few messages drawn at random."""

from dlq import sample
from dlq.stream import Stream
from tests.dlq.conftest import parked


def test_an_empty_queue_is_made_of_nothing(stream: Stream) -> None:
    makeup = sample.makeup(stream)
    assert (makeup.drawn, set(makeup.ages.values()), makeup.reasons) == (0, {0}, {})


def test_a_small_queue_is_counted_whole(stream: Stream) -> None:
    messages = parked(stream, 5)
    stream.fail(messages[0], "DataError", "never", dead=True)
    makeup = sample.makeup(stream)
    assert (makeup.drawn, makeup.ages["under 1 min"]) == (5, 5)
    assert makeup.reasons == {"tests": 4, "DataError": 1}


def test_of_a_large_queue_some_are_drawn_each_once(stream: Stream) -> None:
    parked(stream, 400)
    drawn = sample.draw(stream)
    assert len({message.id for message in drawn}) == sample.DRAWN
