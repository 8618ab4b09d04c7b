"""`just faults`: faults at random on a real stack, under load, until a time or a number of runs is reached."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

from faults import catalogue, results
from faults.disks import may_mount, seclude
from faults.fault import Fault
from faults.journal import Journal
from faults.run import LETTERS, Session
from faults.versions import may_unpack
from faults.world import World
from local.layout import REPOSITORY

_RUNS_A_WORLD = 20
"""Reconciliation looks at everything, so a world that has seen much is left for a new one."""


def main() -> int:
    """Run what the arguments ask for; 1 where something was not as promised."""
    given = _arguments()
    names = [fault.name for fault in catalogue.FAULTS]
    if given.report or given.write:
        text = results.table(results.kept(), [*names, LETTERS])
        print(text)
        if given.write:
            results.write(text)
        return 0
    if unknown := set(given.fault) - set(names):
        sys.exit(f"faults: there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [fault for fault in catalogue.FAULTS if not given.fault or fault.name in given.fault]
    if not may_mount():
        seclude()
    return _go(_possible(chosen), given)


def _possible(chosen: Sequence[Fault]) -> list[Fault]:
    """What can be done here; what cannot is said."""
    lacks = {"mounts": may_mount(), "history": may_unpack()}
    possible = []
    for fault in chosen:
        if why := next((why for need, why in lacks.items() if why and getattr(fault, need)), ""):
            print(f"skipped: {fault.name} {why}")
        else:
            possible.append(fault)
    return possible


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="just faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first run; the next one has the next (0: the clock)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long new runs begin")
    parser.add_argument("--runs", type=int, default=0, help="how many runs at most (0: any number)")
    parser.add_argument("--fault", action="append", default=[], help="this one alone; may be given again and again")
    parser.add_argument("--first", action="store_true", help="end with the first run that is not as promised")
    parser.add_argument("--report", action="store_true", help="only print the table of all runs so far")
    parser.add_argument("--write", action="store_true", help="print it and write it into docs/faults.md")
    return parser.parse_args()


def _go(chosen: Sequence[Fault], given: argparse.Namespace) -> int:
    ends = time.monotonic() + given.minutes * 60
    seed, left, wrong = given.seed or int(time.time()) % 1_000_000, given.runs or sys.maxsize, 0
    while left and chosen and time.monotonic() < ends and not (wrong and given.first):
        group = _group(chosen, Random(seed))
        world = World(wired=group[0].wired, mounts=not may_mount())
        try:
            world.start()
            done, bad = asyncio.run(_session(world, group, seed, min(left, _RUNS_A_WORLD), ends, first=given.first))
        finally:
            world.stop()
        seed, left, wrong = seed + done, left - done, wrong + bad
    return 1 if wrong else 0


def _group(chosen: Sequence[Fault], dice: Random) -> list[Fault]:
    """Those of one kind of world: of the kind whose faults had fewest runs."""
    counts = Counter(result.fault for result in results.kept())
    kinds = [[fault for fault in chosen if fault.wired is wired] for wired in (False, True)]
    return min((kind for kind in kinds if kind), key=lambda kind: (min(counts[f.name] for f in kind), dice.random()))


async def _session(
    world: World, group: Sequence[Fault], seed: int, runs: int, ends: float, *, first: bool
) -> tuple[int, int]:
    """Some runs on one world; how many there were, and how many were not good."""
    session, done, bad = Session(world, _revision()), 0, 0
    async with world.open():
        while done < runs and time.monotonic() < ends:
            journal, fault = Journal(), _next(group, Random(seed + done))
            result = await session.run(fault, seed + done, journal)
            _tell(world, result, journal)
            done += 1
            bad += not result.is_good
            if not result.is_good and (result.troubles or first):
                break
        if done:
            result = await session.settle(seed)
            _tell(world, result, Journal())
            bad += not result.is_good
    return done, bad


def _next(group: Sequence[Fault], dice: Random) -> Fault:
    """One of those that had fewest runs."""
    counts = Counter(result.fault for result in results.kept() if result.effect)
    fewest = min(counts[fault.name] for fault in group)
    return dice.choice([fault for fault in group if counts[fault.name] <= fewest])


def _tell(world: World, result: results.Result, journal: Journal) -> None:
    """Keep and show a result; of one that is not good also how to do it again, and all that happened."""
    results.keep(result)
    mark = "ok" if result.is_good else "NOT AS PROMISED"
    print(
        f"{result.when[11:19]} {result.fault:<26} seed {result.seed}: {result.acknowledged} acknowledged, "
        f"lost {result.lost}, duplicated {result.duplicated}, reordered {result.reordered}, twice {result.twice}, "
        f"recovery {result.recovery:.1f} s: {mark}",
        flush=True,
    )
    if result.is_good and not os.environ.get("FAULTS_KEEP"):
        return
    where = results.FOLDER / f"{result.fault}-{result.seed}"
    journal.write(where / "journal.jsonl")
    world.keep_logs(where)
    for trouble in (*result.troubles, *result.lies, *([] if result.effect else ["it took no effect"])):
        print(f"    {trouble}")
    print(f'    again: just faults --seed {result.seed} --runs 1 --fault "{result.fault}"')
    print(f"    what happened: {where.relative_to(REPOSITORY)}", flush=True)


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("faults: stopped; the runs so far are kept")
