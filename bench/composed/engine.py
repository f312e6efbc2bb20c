"""The container engine of this machine, and the images that the installation is made of."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STAND_INS = ROOT / "tests" / "containers"
IMAGE = "auditsite-compose-test"
# The variable that names each image, the image that docker-compose.yml names, and the one that stands in for it.
BASES = {
    "PYTHON_IMAGE": ("python:3.12-slim", "auditsite-stand-in/python"),
    "POSTGRES_IMAGE": ("postgres:18", "auditsite-stand-in/postgres"),
    "REDIS_IMAGE": ("redis:8", "auditsite-stand-in/redis"),
    "NGINX_IMAGE": ("nginx:1.28", "auditsite-stand-in/nginx"),
}
PULL_S = 120
NO_ENGINE = (
    "No container engine answers here: install one (Debian: apt-get install docker.io docker-compose debootstrap; "
    "where nothing starts it, as root: tests/containers/engine.sh start FOLDER, and set DOCKER_HOST)."
)


class NoEngine(RuntimeError):
    """Nothing here can run containers; the message says in one line what to install."""


def compose_command() -> list[str]:
    """Return how compose is called here. Raises `NoEngine`."""
    if _runs("docker", "version"):
        for command in (["docker", "compose"], ["docker-compose"]):
            if _runs(*command, "version"):
                return command
    raise NoEngine(NO_ENGINE)


def build(root: Path = ROOT) -> dict[str, str]:
    """Build the image of the site in a folder; return each image by the variable of docker-compose.yml that names it.

    Of the base images that docker-compose.yml names; where one of them can be had nowhere, of stand-ins for all.
    """
    if all(_is_there(official) for official, _ in BASES.values()):
        chosen, network = {name: official for name, (official, _) in BASES.items()}, []
    else:
        if not all(_is_there(stand_in, pull=False) for _, stand_in in BASES.values()):
            subprocess.run([STAND_INS / "build.sh"], check=True)
        # Where no registry is reached, packages come through what this machine has set up.
        chosen, network = {name: stand_in for name, (_, stand_in) in BASES.items()}, ["--network", "host"]
    arguments = [
        word for name in ("PYTHON_IMAGE", "POSTGRES_IMAGE") for word in ("--build-arg", f"{name}={chosen[name]}")
    ]
    image = IMAGE if root == ROOT else f"{IMAGE}:older"
    run("docker", "build", "--quiet", *network, *arguments, "--tag", image, str(root))
    return chosen | {"AUDITSITE_IMAGE": image}


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command; return what it printed. Raises `RuntimeError` with its output."""
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return done.stdout


def _is_there(image: str, *, pull: bool = True) -> bool:
    return _runs("docker", "image", "inspect", image) or (pull and _runs("docker", "pull", "--quiet", image))


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=PULL_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
