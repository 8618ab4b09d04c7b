"""The fault suite itself: a few quick faults on a real stack, and that it sees what is not as promised."""

import asyncio
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from faults import catalogue, reconcile, results
from faults.facts import Facts
from faults.journal import Journal
from faults.load import Ack, Person
from faults.reconcile import Findings
from faults.results import Result
from faults.run import Session
from faults.standing import _lies
from faults.world import World

FEED = {"feed": "TODOS", "log": 7, "stream": 7, "unpublished_seconds": 0.0, "consumers": []}
RESULT = Result(fault="kill-nats", seed=3, when="", revision="", effect=["gone"], acknowledged=5, recovery=2.0)


@pytest.mark.timeout(240)
def test_a_broker_that_dies_and_consumers_that_are_deleted_cost_nothing(full: bool) -> None:
    if not full:
        pytest.skip("a stack of its own: with --full, and in ./run faults")
    world = World()
    try:
        world.start()
        for result in asyncio.run(shaken(world, "kill-nats", "consumers-deleted")):
            assert result.effect
            assert result.acknowledged
            assert (result.lost, result.duplicated, result.reordered, result.troubles) == (0, 0, 0, [])
            assert not result.lies
    finally:
        world.stop()


async def shaken(world: World, *names: str) -> list[Result]:
    faults = {fault.name: fault for fault in catalogue.FAULTS}
    async with world.open():
        session = Session(world, "")
        return [await session.run(faults[name], 1, Journal()) for name in names]


def test_a_write_that_is_not_where_it_was_said_to_be_is_lost() -> None:
    todo = uuid4()
    someone = person(Ack(todo, 1, 1, "a"), Ack(todo, 2, 2, "b"))
    assert compared(someone, {1: event(someone, todo, 1), 2: event(someone, todo, 2)}) == (0, 0)
    assert compared(someone, {1: event(someone, todo, 1)}) == (1, 0)
    assert compared(someone, {1: event(someone, todo, 1), 2: event(someone, uuid4(), 1)}) == (1, 1)


def test_a_version_that_nobody_wrote_is_double_unless_an_outcome_stayed_open() -> None:
    todo = uuid4()
    someone = person(Ack(todo, 1, 1, "a"))
    log = {1: event(someone, todo, 1), 2: event(someone, todo, 2)}
    assert compared(someone, log) == (0, 1)
    someone.unsure = {uuid4()}
    assert compared(someone, log) == (0, 1)
    someone.unsure = {todo}
    assert compared(someone, log) == (0, 0)
    assert compared(someone, log | {3: event(someone, todo, 3)}) == (0, 1)


def compared(someone: Person, log: dict[int, Any]) -> tuple[int, int]:
    found = Findings()
    reconcile._compare_acks(found, log, [someone])
    return found.lost, found.duplicated


def person(*acks: Ack) -> Person:
    return Person(http=None, id=uuid4(), journal=Journal(), dice=Random(1), acks=list(acks))


def event(someone: Person, todo: UUID, version: int) -> dict[str, Any]:
    return {"aggregate": todo, "version": version, "subject": someone.id}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, ""),
        ({"log": 8}, "log of TODOS is told as 8"),
        ({"log": None}, "log of TODOS is told as None"),
        ({"stream": 5}, "stream TODOS is told as 5"),
        ({"unpublished_seconds": 3.0}, "all of TODOS is published"),
    ],
)
def test_a_status_that_is_not_so_is_a_lie(told: dict[str, Any], says: str) -> None:
    now = Facts(logs={"TODOS": 7}, streams=dict.fromkeys(("OTP", "AUTH", "TODOS", "MAILER", "ACTIVITY", "NOTIFIER"), 7))
    lies = list(_lies({"troubles": [], "feeds": [FEED | told]}, 0, now, now))
    assert [lie.startswith(says) for lie in lies] == ([True] if says else [])


def test_a_status_that_is_silent_about_nats_is_a_lie() -> None:
    now = Facts(logs={"TODOS": 7}, away=["nats"])
    feed = FEED | {"stream": None, "unpublished_seconds": None}
    assert list(_lies({"troubles": [], "feeds": [feed]}, 0, now, now)) == ["nats is away, and no trouble names it"]
    assert not list(_lies({"troubles": ["NATS does not answer"], "feeds": [feed]}, 1, now, now))


def test_the_table_counts_only_runs_that_took_effect() -> None:
    replace = {"seed": 4, "recovery": 4.0, "lost": 1, "troubles": ["a"]}
    runs = [RESULT, changed(**replace), changed(seed=9, effect=[])]
    [*_, row] = results.table(runs, ["kill-nats"]).splitlines()
    assert row == "| kill-nats | 2 | 10 | 1 | 0 | 0 | 0 | 3.0 s | 4.0 s | - | 3-4 |"
    assert [run.is_good for run in runs] == [True, False, False]
    assert not changed(goal=1.0).is_good


def changed(**fields: Any) -> Result:
    return Result(**{name: getattr(RESULT, name) for name in Result.__struct_fields__} | fields)
