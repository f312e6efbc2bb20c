"""Ids are UUIDv7, and no two processes give out the same."""

import os
import time
from uuid import RFC_4122, UUID

from auditclient.ids import IDS_AT_ONCE, uuid7


def test_an_id_is_a_uuid7_of_its_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = [UUID(uuid7()) for _ in range(IDS_AT_ONCE + 1)]
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)} and len(set(made)) == len(made)
    assert all(before <= each.int >> 80 <= time.time_ns() // 1_000_000 for each in made)
    assert uuid7(0).startswith("00000000-0000-7")


def test_a_forked_child_gives_out_none_of_its_parents() -> None:
    uuid7()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, " ".join(uuid7(0) for _ in range(50)).encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        of_child = set(told.read().split())
    assert os.waitpid(child, 0)[1] == 0
    assert len(of_child) == 50 and not of_child & {uuid7(0) for _ in range(50)}
