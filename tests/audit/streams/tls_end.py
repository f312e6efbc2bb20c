"""What ends TLS before a server that speaks none, as a proxy does: OpenSSL's own, by Python's ssl. And certificates."""

import select
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(path: Path, common_name: str, *addresses: str) -> Path:
    """Write a certificate of these addresses that signs itself, with its key in the same file; return the path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(a)) for a in addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


class TlsEnd:
    """Takes connections over TLS on loopback, and passes on what comes, both ways, until it is closed."""

    def __init__(self, port: int, context: ssl.SSLContext, behind: int):
        """Listens at `port`; `behind` is the port of the server that speaks no TLS."""
        self._context, self._behind = context, behind
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._server.close()
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(20)
        with (
            suppress(OSError),
            plain,
            self._context.wrap_socket(plain, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", self._behind), timeout=20) as behind,
        ):
            self._pass_on(secured, behind)

    def _pass_on(self, secured: ssl.SSLSocket, behind: socket.socket) -> None:
        """By one thread: two must not use a connection of OpenSSL at once."""
        others: dict[socket.socket, socket.socket] = {secured: behind, behind: secured}
        while not self._stop.is_set():
            ready = [secured] if secured.pending() else select.select(list(others), (), (), 0.1)[0]
            for source in ready:
                if not (data := source.recv(65_536)):
                    return
                others[source].sendall(data)
