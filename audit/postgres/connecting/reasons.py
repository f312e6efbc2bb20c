"""What to do where no connection to PostgreSQL could be made: libpq says what is wrong and where, and not what then."""

import re

import psycopg

_AUTHORITY = "sslrootcert must name the file of the authority that signed"
_CERTIFICATE = "sslcert and sslkey must name the files of a client's certificate and of its key"
# What libpq or the server says, and what helps. Only the first that fits a line is told.
_ADVICE = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (r"certificate verify failed", f"{_AUTHORITY} the server's certificate, which must not have ended"),
        (
            r"server certificate for .* does not match host name",
            "write the name that the certificate has as host of the address, with hostaddr for where that name does "
            "not lead, or have a certificate made for the host",
        ),
        (r"root certificate file .* does not exist", f"{_AUTHORITY} the server's certificate, as this process sees it"),
        (r"could not read root certificate file", "sslrootcert must be certificates in PEM that this process may read"),
        (
            r"does not support SSL, but SSL was required",
            "set ssl = on in postgresql.conf with ssl_cert_file and ssl_key_file, or in the pooler or proxy between",
        ),
        (r"no pg_hba.conf entry for .*(no encryption|SSL off)", "set sslmode=verify-full and sslrootcert"),
        (r"requires a valid client certificate", f"{_CERTIFICATE}, whose authority the server has in ssl_ca_file"),
        (r"certificate authentication failed", "the common name of the certificate in sslcert must be the role's"),
        (
            r"alert (unknown ca|bad certificate|certificate (expired|revoked|unknown))",
            "the server does not take the certificate in sslcert: its authority must be in the server's ssl_ca_file, "
            "and it must not have ended",
        ),
        (r"could not (open|read) certificate file", f"{_CERTIFICATE} that this process may read"),
        (r"certificate present, but not private key file", f"{_CERTIFICATE}, both or none"),
        (r"private key file .* (group or world access|must be owned)", "run chmod 600, as the user of this process"),
        (r"could not load private key file|does not match private key", f"{_CERTIFICATE}, which belong together"),
        (r"SSL support is not compiled in", "install a client of PostgreSQL that has TLS (postgresql-client)"),
        (
            r"unsupported startup parameter",
            "a pooler answers: set DATABASE_POOLED=true where DATABASE_URL and DATABASE_READER_URL lead to one; all "
            "other addresses must lead to PostgreSQL itself",
        ),
        (r"password authentication failed", "the password in the address must be the role's (docs/rotation.md)"),
    )
)
DOCS = "docs/connections.md"


def advice(said: str) -> str:
    """Return what to do about what libpq said; "" where that is not known."""
    found = [next((text for fits, text in _ADVICE if fits.search(line)), "") for line in said.splitlines()]
    return "; ".join(dict.fromkeys(text for text in found if text))


def explained(error: psycopg.OperationalError) -> psycopg.OperationalError:
    """Return the error with what to do in its first line, which is what logs and commands show; else itself."""
    said = str(error)
    if not (helps := advice(said)):
        return error
    first, newline, rest = said.partition("\n")
    return type(error)(f"{first.rstrip('.')}: {helps} ({DOCS}){newline}{rest}")
