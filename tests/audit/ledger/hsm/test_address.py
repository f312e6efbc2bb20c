"""Where a key in a token is, as `pkcs11:` URIs say it."""

import pytest

from audit.ledger.hsm.address import Address, UnreadableUri

WHOLE = "pkcs11:token=audit%20log;object=log-2026;id=%01%FF?module-path=/usr/lib/p11.so&pin-source=file:/run/pin"


def test_a_uri_is_read_and_written_again() -> None:
    address = Address.parse(WHOLE)
    assert address == Address("/usr/lib/p11.so", "/run/pin", token="audit log", object="log-2026", id=b"\x01\xff")
    assert Address.parse(str(address)) == address
    by_number = "pkcs11:serial=7;id=%01;type=private?module-path=p&pin-source=/run/pin"
    assert Address.parse(by_number) == Address("p", "/run/pin", serial="7", id=b"\x01")


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("pkcs12:token=a", "does not start"),
        (WHOLE.replace("module-path=/usr/lib/p11.so&", ""), "it needs"),
        (WHOLE.replace("&pin-source=file:/run/pin", ""), "it needs"),
        (WHOLE.replace("token=audit%20log;", ""), "it needs"),
        ("pkcs11:token=a?module-path=p&pin-source=q", "it needs"),
        (f"{WHOLE}&pin-value=7777", "does not stand in a URI"),
        (WHOLE.replace("id=", "slot-id="), "'slot-id' stands twice, or is none of token"),
        (WHOLE.replace(";id=", ";object="), "'object' stands twice"),
        (WHOLE.replace(";id=", ";type=public;id="), "type= is not private"),
        (WHOLE.replace("log-2026", "%FF"), "not UTF-8"),
    ],
)
def test_what_says_too_little_or_too_much_is_refused_without_its_values(uri: str, complaint: str) -> None:
    with pytest.raises(UnreadableUri, match=complaint) as refused:
        Address.parse(uri)
    assert "7777" not in str(refused.value)
