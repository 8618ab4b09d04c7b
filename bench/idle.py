"""What a stack holds and uses while nobody asks for anything, what a start takes, and what services hold under load."""

import argparse
import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final

import psutil

from bench import findings
from bench.counts import heard, rows_of
from bench.figures import Goal, at_most, number, spread, table
from bench.findings import Findings
from bench.held import Held, held, total, tree
from bench.posts import post_and_reconcile
from bench.stack import Stack as BenchStack
from bench.stack import running
from local import ports
from local.console import say
from local.layout import layout
from local.stack import Stack

MEMORY_GOAL: Final = 600.0
CPU_GOAL: Final = 3.0
LOAD_GOAL: Final = 1.2
REPLACED: Final = 79.0
"""MiB that the application that this one replaced held under the same load, measured once; bench/peers has it anew."""
_WORKER: Final = 11  # the port after the base, behind the echo's
_SETTLING: Final = 15.0
_LOOK: Final = 0.5

Parts = Mapping[str, Held]
Starts = list[tuple[float, Parts]]
Rests = list[tuple[Parts, Parts]]
Looks = Mapping[str, Sequence[Held]]


def main() -> None:
    """Tell tables and goals."""
    parser = argparse.ArgumentParser(prog="bench.idle", description="Measure an idle stack, its start, and its memory")
    parser.add_argument("--seconds", type=float, default=60, help="how long it rests after each start (60)")
    parser.add_argument("--load", type=float, default=20, help="seconds of POSTs at the end (20; 0: none)")
    parser.add_argument(
        "--replaced", type=float, default=REPLACED, help=f"MiB of the replaced application ({REPLACED})"
    )
    findings.run(parser, _found, seconds=1, load=2)


def _found(options: argparse.Namespace) -> Findings:
    tables, goals = [], []
    if options.rounds:
        starts, rests = _rest(options.rounds, options.seconds)
        tables += [_starts(starts), _rests(rests, options.seconds)]
        goals += _rest_goals(rests, options.seconds)
    if options.load:
        with running() as stack:
            looks = asyncio.run(_load(stack, options.load))
        tables.append(_loaded(looks))
        goals.append(_load_goal(looks, options.replaced))
    return Findings(text="\n\n".join(["## At rest", *tables]), goals=goals)


def _rest(rounds: int, seconds: float) -> tuple[Starts, Rests]:
    starts: Starts = []
    rests: Rests = []
    with _folder() as stack:
        for nr in range(rounds + 1):  # the first makes databases, tables and keys
            began = perf_counter()
            stack.start({}, lambda _: None)
            starts.append((perf_counter() - began, _parts(stack)))
            say(f"bench: start {nr + 1}: ready after {starts[-1][0]:.2f} s")
            if nr:
                time.sleep(_SETTLING)
                before = _parts(stack)
                time.sleep(seconds)
                rests.append((before, _parts(stack)))
            stack.stop()
    return starts, rests


@contextmanager
def _folder() -> Iterator[Stack]:
    """A stack at free ports that is not started yet; its folder is gone afterwards."""
    stack = Stack(layout({"PORT_BASE": str(ports.free_port())}))
    try:
        yield stack
    finally:
        stack.stop()
        shutil.rmtree((stack.layout.folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(stack.layout.folder, ignore_errors=True)


def _parts(stack: Stack) -> Parts:
    """What each part of a stack holds now; the supervisor without its children, which the others are."""
    pids: Mapping[str, int] = stack.details["pids"]
    return {
        name: held([psutil.Process(pid)] if name == "supervisor" else tree(pid)) for name, pid in sorted(pids.items())
    }


def _starts(starts: Starts) -> str:
    (first, _), *others = starts
    everything: dict[str, list[Held]] = {name: [parts[name] for _, parts in others] for name in others[0][1]}
    everything["all"] = [total(parts) for _, parts in others]
    lines = [
        (name, spread([each.cpu for each in looks]), spread([each.memory for each in looks]))
        for name, looks in everything.items()
    ]
    told = f"From nothing until ready: {first:.1f} s; later starts: {spread([took for took, _ in others])} s."
    return f"{told}\n\n{table(('until ready', 'CPU seconds', 'MiB'), lines)}"


def _rests(rests: Rests, seconds: float) -> str:
    lines = [_line(name, [(before[name], after[name]) for before, after in rests], seconds) for name in rests[0][1]]
    lines.append(_line("all but the supervisor", _whole(rests), seconds))
    return table((f"idle, {seconds:.0f} s", "processes", "MiB (PSS)", "% of a core"), lines)


def _rest_goals(rests: Rests, seconds: float) -> list[Goal]:
    whole, what = _whole(rests), "the idle stack without its supervisor in"
    return [
        at_most(f"{what} MiB", [after.memory for _, after in whole], MEMORY_GOAL),
        at_most(f"{what} % of a core", [_share(*pair, seconds) for pair in whole], CPU_GOAL),
    ]


def _whole(rests: Rests) -> list[tuple[Held, Held]]:
    """What is deployed: the supervisor starts what an orchestrator or a person would start elsewhere."""
    return [(total(_deployed(before)), total(_deployed(after))) for before, after in rests]


def _deployed(parts: Parts) -> Parts:
    return {name: part for name, part in parts.items() if name != "supervisor"}


def _line(name: str, pairs: Sequence[tuple[Held, Held]], seconds: float) -> tuple[str, ...]:
    counts = sorted({after.count for _, after in pairs})
    memory, shares = [after.memory for _, after in pairs], [_share(*pair, seconds) for pair in pairs]
    return name, "-".join(map(str, counts)), spread(memory), spread(shares)


def _share(before: Held, after: Held, seconds: float) -> float:
    return (after.cpu - before.cpu) / seconds * 100


async def _load(stack: BenchStack, seconds: float) -> dict[str, list[Held]]:
    """What processes hold while to-dos are made as fast as it goes, `todos` as two processes, one for each role."""
    stack.api_alone("todos")
    todos, activity = await stack.connect("todos"), await stack.connect("activity")
    found: dict[str, list[Held]] = defaultdict(list)
    with stack.beside("todos", "todos", _WORKER, role="worker"):
        watching = asyncio.create_task(_watch(found))
        run = await post_and_reconcile(stack, stack.todos, todos, seconds)
        await heard(activity, await rows_of(todos))
        watching.cancel()
    say(f"bench: {number(run.rate)} POSTs/s while memory was looked at")
    await todos.close()
    await activity.close()
    return found


async def _watch(found: dict[str, list[Held]]) -> None:
    """Look at every service that this process started, until cancelled."""
    while True:
        for child in psutil.Process().children():
            _, module, name = " ".join(child.cmdline()).partition(" -m ")
            if module and not name.startswith("bench."):
                found[name].append(held([child]))
        await asyncio.sleep(_LOOK)


def _loaded(looks: Looks) -> str:
    lines = [
        (name, number(_most(each)), number(each[-1].memory), number(each[-1].cpu - each[0].cpu))
        for name, each in sorted(looks.items())
    ]
    return table(("while to-dos are made", "MiB at most (PSS)", "at the end", "CPU seconds"), lines)


def _load_goal(looks: Looks, replaced: float) -> Goal:
    both = (_most(looks["todos api"]) + _most(looks["todos worker"])) / replaced
    return at_most(f"both processes of todos to the {replaced:.0f} MiB of what they replaced", [both], LOAD_GOAL)


def _most(looks: Sequence[Held]) -> float:
    return max(each.memory for each in looks)


if __name__ == "__main__":
    main()
