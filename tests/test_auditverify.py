"""The verifier and the client install by one line each: the wheel is built, and what it installs runs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"auditverify": ROOT / "packages" / "auditverify", "auditclient": ROOT / "auditclient"}

pytestmark = pytest.mark.slow


def wheel(name: str, folder: Path) -> Path:
    """Build a wheel as pip does, with the setuptools that is installed."""
    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(folder)!r}))"
    copy = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PACKAGES[name],
        capture_output=True,
        check=True,
    ).stdout
    for path in filter(None, files.decode().split("\0")):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((PACKAGES[name] / path).read_bytes())
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (built,) = folder.glob(f"{name}-*.whl")
    return built


def installed(built: Path, folder: Path) -> Path:
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_verifier_is_verify_py_byte_for_byte_and_a_command(tmp_path: Path) -> None:
    site = installed(wheel("auditverify", tmp_path), tmp_path)
    assert (site / "auditverify.py").read_bytes() == (ROOT / "verify.py").read_bytes()
    assert "auditverify = auditverify:main" in next(site.glob("*.dist-info/entry_points.txt")).read_text()
    command = [sys.executable, "-m", "auditverify", "receipt", str(tmp_path / "nothing"), "--receipt-key", "x"]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_the_client_has_its_contract_its_types_and_its_command(tmp_path: Path) -> None:
    site = installed(wheel("auditclient", tmp_path), tmp_path)
    package = site / "auditclient"
    assert (package / "contract.json").read_bytes() == (ROOT / "dlq" / "contract.json").read_bytes()
    assert (package / "py.typed").exists() and (package / "django" / "middleware.py").exists()
    assert not (package / "tests").exists()
    command = [sys.executable, "-m", "auditclient", "--help"]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "send" in done.stdout
