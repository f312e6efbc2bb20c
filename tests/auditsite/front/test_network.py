"""What a client has to itself has one name, and no name of a network is taken for something else."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from auditsite.front.network import network_of
from auditsite.front.worker import READY


def test_all_addresses_of_a_client_have_one_name() -> None:
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") != network_of("192.0.2.2")
    assert network_of("2001:db8::1") == network_of("2001:db8:0:0:ffff::2%eth0") != network_of("2001:db8:0:1::1")


@given(st.ip_addresses().map(str) | st.text(max_size=5))
@example("::1")
@example("::")
@example(str(IPv6Address(2**128 - 1)))
@example(str(IPv4Address(2**32 - 1)))
def test_that_a_connection_ended_is_never_heard_as_that_a_worker_is_ready(address: str) -> None:
    assert network_of(address).packed != READY
