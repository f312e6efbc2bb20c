"""A certificate that a host signs for itself, so that TLS is there from the first start: browsers warn of it."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# What browsers and systems still take where somebody trusts it by hand.
LASTS = timedelta(days=825)
RENEWED = timedelta(days=90)
COMMON_NAME = NameOID.COMMON_NAME
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_due(certificate: str | None, server_name: str) -> bool:
    """Return whether one has to be made: none is there, it is of another name, or it ends within 90 days."""
    if certificate is None:
        return True
    found = x509.load_pem_x509_certificate(certificate.encode())
    return _common_name(found) != server_name or found.not_valid_after_utc < datetime.now(UTC) + RENEWED


def make(server_name: str) -> tuple[str, str]:
    """Return a certificate of this name and of the loopback addresses, and its private key, both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(COMMON_NAME, server_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # for clients whose clock is behind
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName(_names(server_name)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def _names(server_name: str) -> list[x509.GeneralName]:
    return [_general(name) for name in dict.fromkeys((server_name, *LOOPBACK))]


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _common_name(certificate: x509.Certificate) -> str | None:
    return next((str(name.value) for name in certificate.subject.get_attributes_for_oid(COMMON_NAME)), None)
