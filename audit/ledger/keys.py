"""The signing keys: private keys in files or the environment, never in the database, and the public keys.

SEAL_KEY (or SEAL_KEY_FILE) holds the private key that signs now, or says in which token it is (audit/ledger/hsm).
SEAL_PUBLIC_KEYS (or SEAL_PUBLIC_KEYS_FILE) holds every public key that ever signed, the newest first, one a line: so
old checkpoints still verify after a rotation. A process that only verifies needs the public keys alone. Receipt keys
(RECEIPT_KEY ...) are held in the same way, and in no token.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from audit.errors import KeyMissing
from audit.formats import receipt
from audit.formats.crosslink import base_of
from audit.formats.note import AnySigner, NoteError, Signer, Verifier
from audit.ledger import known_keys
from audit.ledger.hsm.address import SCHEME, Address
from audit.ledger.hsm.signer import TokenSigner

DEVELOPMENT = Signer("development.invalid/log", hashlib.sha256(b"auditsite: everyone knows this key").digest())

# What a token signs to show that it does; no text of a note.
TRIAL = "does this key sign?"


@dataclass(frozen=True)
class Keys:
    signer: AnySigner | None
    verifiers: tuple[Verifier, ...]  # the log's public keys, the newest first

    @property
    def origin(self) -> str:
        return self.verifiers[0].name

    @property
    def current(self) -> list[Verifier]:
        """Those of the name that the log has now: before it was resumed after a restore it had another."""
        return [verifier for verifier in self.verifiers if verifier.name == self.origin]

    def is_ours(self, origin: str) -> bool:
        """Whether a log of this name is this one, now or before it was resumed."""
        return bool(origin) and base_of(origin) == base_of(self.origin)

    @property
    def all_verifiers(self) -> list[Verifier]:
        """Each public key as both of its kinds: for plain signatures, and for those that attest a time."""
        return [*self.verifiers, *(verifier.as_cosigner() for verifier in self.verifiers)]


def load() -> Keys:
    """Read the log's keys anew, so that a running sealer notices a rotation. Raises `KeyMissing`."""
    keys = read("SEAL", "the log", otherwise=DEVELOPMENT if settings.DEBUG else None)
    known_keys.announce(keys.verifiers)
    return keys


def receipts() -> Keys:
    """Return the keys of receipts, read again when their settings or files change. Raises `KeyMissing`."""
    global _receipts
    current = stamp("RECEIPT")
    if _receipts is None or _receipts[0] != current:
        keys = read("RECEIPT", "receipts")
        if keys.signer is not None and not keys.signer.is_at_hand:
            raise KeyMissing("The key of receipts is in a token: each request would wait for it. Keep it in a file.")
        if not keys.origin.endswith(receipt.SUFFIX):
            raise KeyMissing(f"The key of receipts is named {keys.origin}: it must be the log's name and /receipts.")
        _receipts = current, keys
    return _receipts[1]


_receipts: tuple[object, Keys] | None = None


def read(prefix: str, of: str, *, otherwise: AnySigner | None = None) -> Keys:
    """Read the keys in the settings `prefix`_KEY and `prefix`_PUBLIC_KEYS; `otherwise` is used where there are none.

    Raises `KeyMissing` where there is no key, or one cannot be read; never with the key in its text.
    """
    private, public = _text(f"{prefix}_KEY"), _text(f"{prefix}_PUBLIC_KEYS")
    try:
        signer = parse(private) if private else None
        verifiers = [Verifier.parse(line) for line in public.splitlines() if line.strip()]
    except NoteError as error:
        raise KeyMissing(f"A key of {of} cannot be read: {error}.") from None
    if signer is None and not verifiers:
        signer = otherwise
    if signer is not None and signer.verifier not in verifiers:
        verifiers.insert(0, signer.verifier)
    if not verifiers:
        command = f"{prefix.lower()}key"
        raise KeyMissing(
            f"There is no key of {of}: make one with `manage.py {command} create`, and set {prefix}_KEY_FILE."
        )
    if len({base_of(verifier.name) for verifier in verifiers}) > 1:
        names = ", ".join(sorted({verifier.name for verifier in verifiers}))
        raise KeyMissing(f"The keys are of several logs ({names}): one log has one name, whatever its keys.")
    return Keys(signer, tuple(verifiers))


def stamp(prefix: str) -> tuple[object, ...]:
    """Return a value that changes with the settings of `prefix` and their files."""
    return tuple(_stamp(f"{prefix}_{name}") for name in ("KEY", "PUBLIC_KEYS"))


def parse(text: str) -> AnySigner:
    """Read a private key, or where it is. Raises `NoteError`, which never quotes a key."""
    return TokenSigner.parse(text) if f" {SCHEME}" in text else Signer.parse(text)


def create(path: Path, public: Path, origin: str, token: Address | None = None) -> AnySigner:
    """Create the first key of a log at `path`, its public half at `public`. Never overwrites.

    With `token` the key is there, and `path` says so; it is made where there is none. Raises `TokenFailed`.
    """
    signer = _made(origin, token)
    public.parent.mkdir(parents=True, exist_ok=True)
    _write_new(path, signer.encode() + "\n", 0o600)
    _write_new(public, f"{signer.verifier}\n", 0o644)
    return signer


def prepare(
    path: Path, public: Path, old: AnySigner, name: str | None = None, token: Address | None = None
) -> AnySigner:
    """Create the key that follows `old` and publish its public half, last in the file; it signs nothing yet.

    It has the name of `old`, or another, where the log goes on under that; `token` is as in `create`.

    It is kept in `path`.next until `replace`: a rotation that was cut off goes on with the same key. Raises
    `KeyMissing` where another key is prepared, or this is of another name.
    """
    following, name = _next_path(path), name or old.name
    if not following.exists():
        made = _made(name, token)
        if made.verifier == old.verifier:
            raise KeyMissing(f"{token} is the key that signs already: name another one by object=.")
        _write_new(following, made.encode() + "\n", 0o600)
    new = _parsed(following)
    if token is not None and (not isinstance(new, TokenSigner) or new.address != token):
        raise KeyMissing(
            f"Another key is prepared, {new}: rotate to it, or remove {following} and its line in {public}."
        )
    if new.name != name:
        raise KeyMissing(
            f"A key named {new.name} is prepared, and one named {name} is needed. Remove {following}, and the line "
            f"{new} of {public}."
        )
    lines = [line for line in _lines(public) if line != str(new)] or [str(old)]
    _swap(public, "\n".join([*lines, str(new), ""]), 0o644)
    return new


def prepared(path: Path) -> AnySigner | None:
    """The key that is prepared to follow that in `path`, and signs nothing yet; None where none is."""
    following = _next_path(path)
    return _parsed(following) if following.exists() else None


def replace(path: Path, public: Path, new: AnySigner) -> None:
    """Let a prepared key sign in place of the old one; its public half goes to the top of the file."""
    _swap(path, new.encode() + "\n", 0o600)
    _swap(public, "\n".join([str(new), *(line for line in _lines(public) if line != str(new)), ""]), 0o644)
    _next_path(path).unlink(missing_ok=True)


def public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def _made(name: str, token: Address | None) -> AnySigner:
    if token is not None:
        return TokenSigner.make(name, token)
    signer = Signer(name, secrets.token_bytes(32))
    Signer.parse(signer.encode())  # refuses a name that could not be read again
    return signer


def _parsed(path: Path) -> AnySigner:
    return parse(path.read_text(encoding="utf-8").strip())


def _next_path(path: Path) -> Path:
    return path.with_name(path.name + ".next")


def _lines(public: Path) -> list[str]:
    return public.read_text(encoding="utf-8").split() if public.exists() else []


def _stamp(name: str) -> object:
    path: Path | None = getattr(settings, f"{name}_FILE")
    if path is None:
        return getattr(settings, name)
    try:
        status = path.stat()
    except OSError:
        return path
    return path, status.st_ino, status.st_size, status.st_mtime_ns


def _text(name: str) -> str:
    """Return the setting's value, or the content of the file that NAME_FILE names, read anew each time."""
    path: Path | None = getattr(settings, f"{name}_FILE")
    if path is None:
        return str(getattr(settings, name))
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"{name}_FILE cannot be read: {type(error).__name__}.") from None


def _write_new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _swap(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    _write_new(fresh, text, mode)
    fresh.replace(path)
