"""The library under virtual time: no promise breaks in any history, and in a history with a bug one does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from simulation.bugs import BUGS, planted
from simulation.search import quiet, search
from simulation.world import World

QUICK = {
    "cursor-instead-of-numbers": 20,
    "ack-before-commit": 10,
    "checkpoint-outside": 10,
    "retry-under-new-ids": 10,
    "lost-answer-is-failure": 60,
    "mark-missing": 60,
    "parked-is-passed": 20,
    "parked-in-between": 20,
}
"""The bugs that are found soon, and within how many histories; --full looks for all of them, a minute each."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.timeout(1200)
def test_no_promise_breaks_in_any_history(full: bool) -> None:
    outcome, tried, _ = search(count() if full else range(40), seconds=60)
    assert outcome is not None
    assert not outcome.broken, f"again: ./run simulate --seed {outcome.seed}"
    assert tried >= 40


@pytest.mark.parametrize("seed", [8])
def test_a_seed_is_one_history_in_every_process(seed: int) -> None:
    folder = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": folder, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-m", "simulation", "--seed", str(seed)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert World(seed).run().trace_hash in said


def test_another_seed_is_another_history() -> None:
    assert len({World(seed).run().trace_hash for seed in range(8)}) == 8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every bug in the long run, the quick ones else."""
    if "bug" in metafunc.fixturenames:
        metafunc.parametrize("bug", BUGS if metafunc.config.getoption("full") else QUICK)


@pytest.mark.timeout(1200)
def test_a_planted_bug_is_found(bug: str, full: bool) -> None:
    with planted(bug):
        outcome, tried, _ = search(count() if full else range(QUICK[bug]), seconds=60)
    assert outcome is not None
    assert outcome.broken, f"not found in {tried} histories"


def test_a_broken_history_names_its_seed_and_breaks_again() -> None:
    with planted("ack-before-commit"):
        outcome, _, _ = search(count(), seconds=60)
        assert outcome is not None
        again = World(outcome.seed).run()
    assert (again.broken, again.trace_hash) == (outcome.broken, outcome.trace_hash)
    assert not World(outcome.seed).run().broken
