"""Commands for operators."""

import os
import pwd


def operator_name() -> str:
    """Who runs the command: the account of the system, not what the environment says of it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
