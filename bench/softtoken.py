"""A token for tests and drills: SoftHSM, which is a module of PKCS#11 like any other, and keeps its keys in files."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from audit.ledger.hsm.address import Address

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
LABEL, PIN = "audit", "12345678"


class SoftToken:
    """One token in a folder, which may be taken away and come back."""

    def __init__(self, folder: Path):
        """Made by `make`; the folder must be there."""
        self._folder = folder / "tokens"
        self._settings = folder / "softhsm2.conf"
        self.pin = folder / "pin"

    @property
    def env(self) -> dict[str, str]:
        """What processes that use the token have in their environment."""
        return {"SOFTHSM2_CONF": str(self._settings)}

    def make(self) -> None:
        """Initialise it."""
        self._folder.mkdir()
        self.pin.write_text(f"{PIN}\n")
        self._settings.write_text(f"directories.tokendir = {self._folder}\nobjectstore.backend = file\n")
        command = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | self.env)

    def address(self, key: str) -> Address:
        """Where the key of this label is, or would be."""
        module = next(filter(lambda path: Path(path).exists(), MODULES))
        return Address(module, str(self.pin), token=LABEL, object=key)

    def take_away(self) -> None:
        """It is not there any more."""
        self._folder.rename(self._folder.with_name("elsewhere"))
        self._folder.mkdir()

    def bring_back(self) -> None:
        """As it was."""
        self._folder.rmdir()
        self._folder.with_name("elsewhere").rename(self._folder)


def missing() -> str:
    """What this machine lacks for a token, and how to get it; "" where nothing is missing."""
    if shutil.which("softhsm2-util") is None or not any(Path(path).exists() for path in MODULES):
        return "needs SoftHSM: apt-get install softhsm2"
    if importlib.util.find_spec("pkcs11") is None:
        return "needs python-pkcs11: pip install auditsite[pkcs11]"
    return ""
