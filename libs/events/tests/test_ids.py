"""Ids sort by the time they were made (RFC 9562)."""

import time

from events.ids import uuid7


def test_ids_made_in_turn_sort_in_that_order() -> None:
    ids = [uuid7() for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_an_id_carries_its_moment_and_its_version() -> None:
    before, made, after = time.time_ns() // 1_000_000, uuid7(), time.time_ns() // 1_000_000
    assert made.version == 7
    assert before <= made.int >> 80 <= after + 1
