"""What a connection may take: bytes, seconds, bytes a second."""

import os
import resource
import sys

# --- Reading --------------------------------------------------------------------------------

# Of a request's line and headers together, and how many there may be.
HEAD_BYTES = 64 * 1024
HEADERS = 100
# From the first byte of a request to the end of its headers; a new connection has as long for its first byte.
HEAD_S = 10.0
# Between requests.
IDLE_S = 60.0
# A body, and the reader of an answer, may be slow for so long; then this is the least it may have reached on average.
GRACE_S = 10.0
RATE_BYTES_PER_S = 4 * 1024
# Of a body or an answer, the rest is in a file: many slow clients together must fit into memory.
MEMORY_BYTES = 256 * 1024
READ_BYTES = 128 * 1024

# --- Writing --------------------------------------------------------------------------------

# What one turn of a thread writes of an answer: a fast reader of a large file leaves threads to others.
TURN_BYTES = 1024 * 1024
# What the system keeps of an answer for a slow reader.
SEND_BUFFER_BYTES = 128 * 1024
# A refused body is read and thrown away for so long, and so much of it: else the client would not see the answer.
LINGER_S = 2.0
LINGER_BYTES = 4 * 1024 * 1024

# --- All together ---------------------------------------------------------------------------

# Of one process; fewer where the system allows fewer files.
CONNECTIONS = 4_096
# Files of a process that are no connection: databases, logs, metrics.
OTHER_FILES = 128
STOP_S = 10.0
# Where other workers take over, a connection is ended with its next answer, or when it was idle for so long.
LEAVE_S = 15.0


def processes() -> int:
    """Return how many processes serve best: one a core, for more share less work; two, so that one may be replaced."""
    return max(2, len(cores()) or os.cpu_count() or 2)


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use; none where the system does not say (macOS)."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


def is_too_slow(bytes_done: int, seconds: float) -> bool:
    """Return whether so little in so many seconds is less than a client may send or take."""
    return seconds > GRACE_S and bytes_done < (seconds - GRACE_S) * RATE_BYTES_PER_S


def connections() -> int:
    """Raise the limit of open files as far as the system allows; return how many connections a process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + OTHER_FILES
    files = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    # A connection may hold a file with its body, or with its answer.
    return max(min(CONNECTIONS, (files - OTHER_FILES) // 2), 16)
