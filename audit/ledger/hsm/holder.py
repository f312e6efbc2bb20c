"""The process that has a token open: `python -P holder.py`. It signs, or makes a key, and ends with who started it.

The module of a token is foreign code: it may hang, crash, or not survive a fork. Here it takes nobody along, and who
waits for it can end it. The first line of standard input says which key (`Request`), each further one what to sign;
each line of standard output answers one. It knows nothing of the rest of this house, so that it starts quickly.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypedDict

ED25519 = b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"  # by its name, and by its number
_POINT = b"\x04\x20"


class Request(TypedDict):
    """Which key is asked for, and whether it is to be made. `id` is in hexadecimal."""

    module: str
    pin_file: str
    token: str
    serial: str
    object: str
    id: str
    makes: bool


class Fault(Exception):
    """What is wrong, in words; `kind` tells wrong PINs from the rest."""

    def __init__(self, text: str, kind: str = "fault"):
        super().__init__(text)
        self.kind = kind


def main() -> None:
    """Answer until standard input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # modules print what they like
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    try:
        for answer in _answers(json.loads(lines.get()), lines):
            out.write(json.dumps(answer) + "\n")
            out.flush()
    except Fault as fault:
        out.write(json.dumps({"fault": str(fault), "kind": fault.kind}) + "\n")
        out.flush()
    os._exit(0)  # a module may hang as it is unloaded


def _read(lines: "SimpleQueue[str]") -> None:
    """In a thread of its own: however long a module hangs, this process ends with the one that started it."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _answers(request: Request, lines: "SimpleQueue[str]") -> Iterator[dict[str, Any]]:
    try:
        import pkcs11
    except ImportError:
        raise Fault("python-pkcs11 is not installed here: install the extra `pkcs11`") from None
    try:
        session = _session(pkcs11, request)
        if request["makes"]:
            yield {"public": _made(pkcs11, session, request).hex()}
            return
        key = _find(pkcs11, session, request, pkcs11.ObjectClass.PRIVATE_KEY)
        yield {}
        while True:
            message = bytes.fromhex(json.loads(lines.get())["sign"])
            yield {"signature": key.sign(message, mechanism=pkcs11.Mechanism.EDDSA).hex()}
    except pkcs11.PKCS11Error as error:
        raise Fault(f"{_place(request)} fails: {type(error).__name__} {error}".rstrip()) from None


def _place(request: Request) -> str:
    return f"the token {request['token'] or request['serial']}"


def _session(pkcs11: Any, request: Request) -> Any:
    """Log in. Raises `Fault`."""
    try:
        pin = Path(request["pin_file"]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"the file of its PIN, {request['pin_file']}, cannot be read: {type(error).__name__}") from None
    wanted = {"token_label": request["token"], "token_serial": request["serial"].encode()}
    try:
        token = pkcs11.lib(request["module"]).get_token(**{name: value for name, value in wanted.items() if value})
        if pkcs11.Mechanism.EDDSA not in token.slot.get_mechanisms():
            raise Fault(f"{_place(request)} does not sign with Ed25519 (CKM_EDDSA): use another one")
        return token.open(rw=request["makes"], user_pin=pin)
    except pkcs11.NoSuchToken:
        raise Fault(f"{_place(request)} is not there: plug it in, or correct token=") from None
    except pkcs11.MultipleTokensReturned:
        raise Fault(f"{_place(request)} is there twice: name it by serial=") from None
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise Fault(
            f"the PIN in {request['pin_file']} is not the one of {_place(request)}: correct it", "pin"
        ) from None
    except (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized) as error:
        raise Fault(f"{_place(request)} lets nobody in ({type(error).__name__}): set its PIN anew", "pin") from None
    except pkcs11.PKCS11Error as error:
        if not str(error).startswith("OS exception"):
            raise
        raise Fault(f"the module {request['module']} cannot be loaded: install it, or correct module-path=") from None


def _find(pkcs11: Any, session: Any, request: Request, kind: Any) -> Any:
    wanted = {"label": request["object"], "id": bytes.fromhex(request["id"])}
    try:
        return session.get_key(object_class=kind, **{name: value for name, value in wanted.items() if value})
    except pkcs11.NoSuchKey:
        raise Fault(f"{_place(request)} has no such key: correct object= and id=", "no key") from None
    except pkcs11.MultipleObjectsReturned:
        raise Fault(f"{_place(request)} has several such keys: name one by id=") from None


def _made(pkcs11: Any, session: Any, request: Request) -> bytes:
    """The public half of the key; of a new one that never leaves the token, where there is none of this name."""
    try:
        _find(pkcs11, session, request, pkcs11.ObjectClass.PRIVATE_KEY)
        public = _find(pkcs11, session, request, pkcs11.ObjectClass.PUBLIC_KEY)
    except Fault as fault:
        if fault.kind != "no key" or not request["object"]:
            raise
        of = {pkcs11.Attribute.EC_PARAMS: ED25519[0]}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, of, local=True)
        keeps = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        public, _ = parameters.generate_keypair(
            id=bytes.fromhex(request["id"]) or os.urandom(8),
            label=request["object"],
            store=True,
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            private_template=keeps,
        )
    if public[pkcs11.Attribute.EC_PARAMS] not in ED25519:
        raise Fault(f"the key in {_place(request)} is not Ed25519: make another") from None
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    return point.removeprefix(_POINT) if len(point) == 34 else point


if __name__ == "__main__":
    main()
