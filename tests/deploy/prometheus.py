"""Prometheus of Debian, where it is installed."""

import shutil

INSTALL = "no Prometheus: apt-get install --no-install-recommends prometheus"


def tool() -> str | None:
    """The tool that evaluates rules without a server, or None."""
    return shutil.which("promtool")
