"""A signer whose private key is in a token, which another process has open (`holder.py`).

Whatever becomes of the token, the wait for it ends, and the next signature finds it anew: after a failure the process
is ended and another one begun. A PIN that was wrong is not tried again before its file changes: tokens lock themselves.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.errors import TokenFailed
from audit.formats.note import ED25519, AnySigner, NoteError, Verifier
from audit.ledger.hsm.address import Address, UnreadableUri

HOLDER = Path(__file__).with_name("holder.py")
# To load the module and to log in, which in a network takes a while; and to sign.
OPEN_S, SIGN_S = 15.0, 5.0


@dataclass(frozen=True)
class TokenSigner(AnySigner):
    """A key in a token, with the name and the public half that its signatures are checked with."""

    name: str
    public: bytes
    address: Address

    is_at_hand: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str) -> "TokenSigner":
        """Read `name+id+base64 pkcs11:...`. Raises `NoteError`."""
        public, _, uri = text.partition(" ")
        try:
            verifier, address = Verifier.parse(public), Address.parse(uri.strip())
        except UnreadableUri as error:
            raise NoteError(f"the address of its token is not complete: {error}") from None
        if verifier.kind != ED25519:
            raise NoteError(f"the verifier key of {verifier.name} is not one of a log")
        return cls(verifier.name, verifier.public, address)

    @classmethod
    def make(cls, name: str, address: Address) -> "TokenSigner":
        """Find the key in its token, or make it there. Raises `TokenFailed`, `NoteError` for a name that is none."""
        holder = _Holder(address, makes=True)
        try:
            made = cls(name, bytes.fromhex(holder.opened["public"]), address)
            cls.parse(made.encode())
            return made
        finally:
            holder.end()

    def encode(self) -> str:
        """Return what the file of the key has: where it is, and nothing secret."""
        return f"{self.verifier} {self.address}"

    @cached_property
    def verifier(self) -> Verifier:
        return Verifier(self.name, ED25519, self.public)

    def _signature(self, message: bytes) -> bytes:
        """Raises `TokenFailed`, also where the token has another key under this name."""
        signature = _holding.sign(self.address, message)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise TokenFailed(
                f"The log's key in {self.address.spoken} is not the one whose public half stands before its address in "
                "SEAL_KEY_FILE: correct object= and id= there."
            ) from None
        return signature


class _Holder:
    """The process that has one token open."""

    def __init__(self, address: Address, *, makes: bool):
        """Raises `TokenFailed`."""
        self._address = address
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HOLDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        request = asdict(address) | {"id": address.id.hex(), "makes": makes}
        # What it says at first: the public half, where it makes a key.
        self.opened = self._ask(request, OPEN_S)

    def sign(self, message: bytes) -> bytes:
        """Raises `TokenFailed`."""
        return bytes.fromhex(self._ask({"sign": message.hex()}, SIGN_S)["signature"])

    def end(self) -> None:
        """End the process, which has nothing to bring to an end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _ask(self, question: object, seconds: float) -> dict[str, Any]:
        """Raises `TokenFailed`; the process is ended then."""
        fault, kind = "its module has ended the process that had it open: see the lines before this in the log", "crash"
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")  # type: ignore[union-attr]
            line = self._line(time.monotonic() + seconds)
            if line is None:
                fault, kind = f"it did not answer within {seconds:.0f} s: see whether it is in order", "hang"
            elif line:
                answer: dict[str, Any] = json.loads(line)
                if "fault" not in answer:
                    return answer
                fault, kind = answer["fault"], answer["kind"]
        except OSError:
            pass  # it has ended
        self.end()
        raise TokenFailed(f"The log's key is in a token, {self._address.spoken}, that cannot be used: {fault}.", kind)

    def _line(self, deadline: float) -> bytes | None:
        """One line of its answer; empty where it has ended, None past the deadline."""
        pipe, line = self._process.stdout.fileno(), b""  # type: ignore[union-attr]
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
                return None
            if not (part := os.read(pipe, 65536)):
                return b""
            line += part
        return line


class _Holding:
    """The token that this process has open: of the key that signed last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[Address, _Holder] | None = None
        # A PIN that was wrong: of which key, as its file was then, and what was said of it.
        self._wrong: tuple[Address, object, str] | None = None

    def sign(self, address: Address, message: bytes) -> bytes:
        """Raises `TokenFailed`."""
        with self._lock:
            pin = _stamp(address.pin_file)
            if self._wrong is not None and self._wrong[:2] == (address, pin):
                raise TokenFailed(self._wrong[2], "pin")
            try:
                return self._sign(address, message)
            except TokenFailed as failed:
                self._wrong = (address, pin, str(failed)) if failed.kind == "pin" else None
                raise

    def end(self) -> None:
        """Let go of the token."""
        held, self._held = self._held, None
        if held is not None:
            held[1].end()

    def _sign(self, address: Address, message: bytes) -> bytes:
        if self._held is not None and self._held[0] == address:
            try:
                return self._held[1].sign(message)
            except TokenFailed as failed:
                self._held = None
                if failed.kind == "hang":
                    raise
                # It was taken away, or started anew, since it signed last: it may be back.
        self.end()
        holder = _Holder(address, makes=False)
        signature = holder.sign(message)
        self._held = address, holder
        return signature


def _stamp(path: str) -> object:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _begin() -> None:
    """At first, and in a forked child, whose parent has the token open."""
    global _holding
    _holding = _Holding()


_holding: _Holding
_begin()
os.register_at_fork(after_in_child=_begin)
atexit.register(lambda: _holding.end())
