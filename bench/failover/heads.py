"""Every head that was ever signed, by whichever sealer on whichever primary: are they all of one log?"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from audit.formats.note import TreeHead, split


def read(files: list[Path]) -> list[TreeHead]:
    """Return what the sealers wrote down."""
    lines = (line for file in files if file.exists() for line in file.read_text(encoding="utf-8").splitlines())
    return [TreeHead.parse(split(json.loads(line))[0]) for line in lines]


def forks(heads: list[TreeHead], root: Callable[[int], bytes | None]) -> list[str]:
    """Say which heads are not prefixes of the log that is there: `root` is its root at a size, None beyond its end."""
    by_size: dict[int, set[bytes]] = defaultdict(set)
    for head in heads:
        by_size[head.size].add(bytes(head.root))
    found = []
    for size, roots in sorted(by_size.items()):
        there = root(size)
        if len(roots) > 1:
            found.append(f"{len(roots)} heads of {size} records disagree with each other")
        elif there is None:
            found.append(f"a head of {size} records was signed, and the log is shorter")
        elif roots != {there}:
            found.append(f"the head of {size} records is not of the log that is there")
    return found
