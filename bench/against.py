"""`just bench-peers`: ours and what people would use instead, in turn, over the same PostgreSQL, NATS, mail server."""

import argparse
import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import uuid4

import uvloop
from msgspec.structs import replace

from bench import comparison, findings, smtp, usage
from bench.comparison import Mails, Measured, Measures
from bench.counts import Unsound, assert_durable
from bench.findings import Findings
from bench.load import NUMBER, Target, cut_off, load
from bench.machine import facts
from bench.posts import BODY
from bench.rivals import ECHO, PEERS, Peers, startable
from bench.sides import AUTH_ALONE, Ours, Running, Side
from bench.smtp import Counts, Postbox
from bench.stack import Stack, running
from local.console import say

DELAYS: Final = (0, 50)
"""How long the mail server takes to answer DATA, in milliseconds."""
_WARM_UP: Final = 1.0
_STILL: Final = 0.3
_QUIET_WITHIN: Final = 180.0
_LEAST: Final = 0.5
"""Seconds of sending after the load that say something."""


def main() -> None:
    """Tell tables and goals."""
    parser = argparse.ArgumentParser(
        prog="bench.against", description="Compare ours with what people would use instead"
    )
    parser.add_argument("--seconds", type=float, default=6, help="how long each run takes (6)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="only these")
    parser.add_argument("--only", choices=("posts", "codes"), help="only to-dos, or only sign-in codes")
    findings.run(parser, _found, seconds=1)


def _found(options: argparse.Namespace) -> Findings:
    names, without = startable(options.peers)
    with smtp.serving() as postbox, tempfile.TemporaryDirectory(prefix="bench-peers-") as logs:
        os.environ |= smtp.settings(postbox.port)
        with running() as stack:
            stack.add_database(AUTH_ALONE, "auth")
            bench = _Bench(stack, postbox, Path(logs), options.seconds)
            found = uvloop.run(bench.measure(names, options.rounds, options.only))
    return replace(found, text=found.text + without)


class _Bench:
    def __init__(self, stack: Stack, postbox: Postbox, logs: Path, seconds: float) -> None:
        self._stack = stack
        self._postbox = postbox
        self._seconds = seconds
        self._ours = Ours(stack, self._mails)
        self._peers = Peers(stack, postbox.port, logs)

    async def measure(self, names: Sequence[str], rounds: int, only: str | None) -> Findings:
        todos = await self._stack.connect("todos")
        await assert_durable(todos)
        machine = await facts(todos, self._stack.data)
        await todos.close()
        for name in names:
            await self._peers.prepare(name)
        posted: Measures = defaultdict(list)
        asked: dict[int, Measures] = {delay: defaultdict(list) for delay in DELAYS}
        for number in range(1, rounds + 1):
            say(f"bench: round {number} of {rounds}")
            if only != "codes":
                for name, side in self._post_sides(names).items():
                    posted[name].append(await self._posts(name, side))
            for delay in DELAYS if only != "posts" else ():
                for name, side in self._code_sides(names).items():
                    asked[delay][name].append(await self._codes(name, side, delay))
        return comparison.findings(machine, posted, asked)

    async def _mails(self) -> int:
        return (await self._postbox.counts()).mails

    def _post_sides(self, names: Sequence[str]) -> dict[str, Side]:
        peers = {name: partial(self._peers.peer, name) for name in names}
        ours = {comparison.ALONE: self._ours.api_alone, comparison.PIPELINE: self._ours.todos}
        return {**ours, **peers, ECHO: self._peers.echo}

    def _code_sides(self, names: Sequence[str]) -> dict[str, Side]:
        peers = {name: partial(self._peers.peer, name, self._mails) for name in names}
        ours = {comparison.ALONE: self._ours.auth_alone, comparison.PIPELINE: self._ours.auth}
        return {**ours, **peers}

    async def _posts(self, name: str, side: Side) -> Measured:
        async with side() as up:
            target = Target(url=up.url, path="/todos/", body=BODY, token=up.token, seconds=self._seconds)
            return await self._measured(name, up, target)

    async def _codes(self, name: str, side: Side, delay: int) -> Measured:
        async with side() as up:
            body = f'{{"email":"{NUMBER}.{uuid4().hex}@example.org"}}'
            target = Target(
                url=up.url, path="/users/request-otp", body=body, token=up.token, seconds=self._seconds, status=200
            )
            return await self._measured(f"{name}, mail in {delay} ms", up, target, delay)

    async def _measured(self, name: str, up: Running, target: Target, delay: int = 0) -> Measured:
        await self._run(up, replace(target, seconds=_WARM_UP, body=target.body.replace(NUMBER, f"warm{NUMBER}")))
        measured = await self._run(up, target, delay)
        run = measured.run
        say(f"bench: {name}: {run.rate:,.0f}/s, p50 {run.p50:.1f} ms, p99 {run.p99:.1f} ms")
        return measured

    async def _run(self, up: Running, target: Target, delay: int = 0) -> Measured:
        """Load, and a rest until its side work is done; raises `Unsound` where that is not what was answered."""
        await self._postbox.begin(delay)
        stored, done, before = await up.stored(), await up.done(), usage.seconds(up.processes)
        run = await load(target)
        memory, at_end = usage.memory(up.processes), await self._postbox.counts()
        await self._postbox.answer_after(0)
        grown = await _settled(up, stored, done)
        if up.keeps and not run.answered <= grown <= run.answered + cut_off():
            raise Unsound(f"{run.answered} requests were answered, {grown} are stored")
        cpu = (usage.seconds(up.processes) - before) / run.answered * 1000
        return Measured(run=run, memory=memory, cpu=cpu, mails=_mails(at_end, await self._postbox.counts()))


async def _settled(up: Running, stored: int, done: int) -> int:
    """Wait until all that was stored is done and nothing more comes; how much that is. Raises `Unsound`."""
    grown, worked, last = -1, -1, -2
    deadline = perf_counter() + _QUIET_WITHIN
    while not grown == worked == last:
        if perf_counter() > deadline:
            raise Unsound(f"{grown} requests are stored, and {worked} times their side work was done")
        await asyncio.sleep(_STILL)
        last = grown
        grown, worked = await up.stored() - stored, await up.done() - done
    return grown


def _mails(at_end: Counts, at_last: Counts) -> Mails:
    """Of the counts when load ended, and when all was done."""
    if at_last.mails != at_last.people:
        raise Unsound(f"{at_last.mails} mails were sent to {at_last.people} people")
    waited, seconds = at_last.mails - at_end.mails, at_last.last - at_end.seconds
    return Mails(
        under_load=at_end.mails / at_end.seconds,
        per_connection=at_end.mails / at_end.connection_seconds if at_end.mails else 0.0,
        afterwards=waited / seconds if seconds > _LEAST else 0.0,
    )


if __name__ == "__main__":
    main()
