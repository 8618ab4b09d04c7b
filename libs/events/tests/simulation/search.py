"""Looks for a history in which a promise breaks."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import process_time

import structlog

from simulation.world import Outcome, World


@contextmanager
def quiet() -> Iterator[None]:
    """Without the product's log lines."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def search(seeds: Iterable[int], *, seconds: float) -> tuple[Outcome | None, int, float]:
    """Live histories until a promise breaks: the last one, how many, in how many seconds of a core."""
    began, tried, outcome = process_time(), 0, None
    for seed in seeds:
        outcome = World(seed).run()
        tried += 1
        if outcome.broken or process_time() - began > seconds:
            break
    return outcome, tried, process_time() - began
