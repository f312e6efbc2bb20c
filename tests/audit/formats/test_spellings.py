"""An address is the same in whatever spelling it comes."""

from ipaddress import IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.formats import spellings

groups = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xDB8, 0x207, 0xC000, 0xA00]), min_size=8, max_size=8)
mapped = groups.map(lambda parts: [0, 0, 0, 0, 0, 0xFFFF, *parts[6:]])


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """An address of IPv6 as somebody may write it."""
    parts = draw(groups | mapped)
    texts = [format(part, draw(st.sampled_from(["x", "X", "04x", "02X"]))) for part in parts]
    if draw(st.booleans()):
        texts[6:] = [".".join(str(byte) for part in parts[6:] for byte in divmod(part, 256))]
    first = draw(st.integers(0, 6))
    zeros = next((at for at in range(first, 8) if parts[at]), 8)
    last = draw(st.integers(first, min(zeros, len(texts) - (len(texts) == 7))))
    if first == last:
        return ":".join(texts)
    return f"{':'.join(texts[:first])}::{':'.join(texts[last:])}"


@pytest.mark.slow
@given(spelled())
@example("::ffff:192.0.2.7")
@example("::192.0.2.7")
@settings(max_examples=100)
def test_an_address_is_written_out_alike_whatever_its_spelling(text: str) -> None:
    address = spellings.read_address(text)
    out = spellings.spelled_out(address)
    assert spellings.read_address(out) == address
    assert spellings.spelled_out(spellings.read_address(IPv6Address(text).exploded.upper())) == out
    assert spellings.bits(out) == IPv6Address(text).packed.hex()


def test_a_beginning_is_written_as_addresses_begin() -> None:
    assert spellings.read_network("2001:0DB8:0:") == "2001:db8:0:"
    assert spellings.bits("2001:db8:0:") == "20010db80000"
    assert spellings.bits(spellings.read_network("192.0.2.")) == f"{'0' * 20}ffffc00002"


@pytest.mark.parametrize(
    "text", ["", ".", ":", "192", "192.0.2", "1.2.3.4.", "256.", "01.", "::", "2001::", "g:", "0:0:", "0:0:0:0:0:ffff:"]
)
def test_what_begins_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole parts"):
        spellings.read_network(text)
