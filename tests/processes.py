"""Whether a process of a test lives: others end while they are looked at."""

from contextlib import suppress

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether it runs, and is more than an entry that its parent has not read yet."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
