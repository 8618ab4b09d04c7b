"""`just bench-routes`: what people do most, each route straight at its service, with few and with many connections."""

import argparse
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import uvloop
from msgspec import Struct

from bench import findings, smtp, usage
from bench.backends import Server, taken
from bench.codes import Mailbox, answers, data_of, new_addresses
from bench.counts import Unsound, assert_durable
from bench.cycled import Cycle, cycled, generator, line
from bench.figures import spread, table
from bench.findings import Findings
from bench.machine import facts
from bench.posts import BODY
from bench.requests import post
from bench.rest import Rest, watching
from bench.stack import Stack, running
from events.ids import uuid7
from local import ports
from local.console import say

CONNECTIONS: Final = (1, 32, 128)
TODOS: Final = 1_000
"""To-dos of the one whose list is asked for, and of the one who toggles."""
_ADDRESSES: Final = 20_000
_FIRST: Final = 1_000
"""Codes a second that are asked for before it is known how many are spent."""
_MORE: Final = 1.3
_WARM_UP: Final = 1.0


class Route(Struct, frozen=True, kw_only=True):
    """A route of a service; `lines` prepares requests, at least so many where each is good once only (`spends`).

    An answer is at least one event of `feed`, where that is named.
    """

    name: str
    service: str
    url: str
    lines: Callable[[int], Awaitable[list[str]]]
    status: int = 200
    feed: str = ""
    spends: bool = False


class Measured(Struct, frozen=True):
    """A run; seconds of a core for 1,000 answers until all is at rest: of the service, of its connections to
    PostgreSQL, and of PostgreSQL in all.
    """

    cycle: Cycle
    service: float
    connections: float
    postgres: float


Measures = dict[tuple[str, int], list[Measured]]


class People:
    """Who asks, and with what."""

    def __init__(self, stack: Stack, mailbox: Mailbox) -> None:
        self._stack = stack
        self._mailbox = mailbox
        self._todos: dict[UUID, list[str]] = {}

    async def prepare(self) -> list[Route]:
        """Two people sign in, and make to-dos; what can be asked then."""
        reader, toggler = [await self._newcomer() for _ in range(2)]
        todos = partial(Route, service="todos", url=self._stack.todos)
        auth = partial(Route, service="auth", url=self._stack.auth)
        return [
            todos(name="create", lines=self._creates, status=201, feed="TODOS"),
            todos(name="toggle", lines=partial(self._each, toggler, "PATCH", "/toggle"), feed="TODOS"),
            todos(name="get one", lines=partial(self._each, reader, "GET", "")),
            todos(name="list, the first 20 of 1,000", lines=partial(self._lists, reader)),
            auth(name="request-otp", lines=self._asks, feed="OTP"),
            auth(name="verify-otp, somebody new", lines=self._signs_in, feed="AUTH", spends=True),
        ]

    async def _newcomer(self) -> UUID:
        """Somebody who signed in: to whom letters go, too."""
        [body] = await self._mailbox.answers_to(self._stack.auth, 1)
        request = post(self._stack.auth, "/users/verify-otp", body.encode(), "")
        [signed_in] = await answers(self._stack.auth, [request], 200)
        person = UUID(data_of(signed_in)["user"]["id"])
        creates = [post(self._stack.todos, "/todos", BODY.encode(), self._stack.token(person))] * TODOS
        self._todos[person] = [data_of(made)["id"] for made in await answers(self._stack.todos, creates, 201)]
        return person

    async def _creates(self, _: int) -> list[str]:
        return [line("POST", "/todos", self._stack.token(uuid7()), BODY)]

    async def _each(self, person: UUID, method: str, what: str, _: int) -> list[str]:
        token = self._stack.token(person)
        return [line(method, f"/todos/{todo}{what}", token) for todo in self._todos[person]]

    async def _lists(self, person: UUID, _: int) -> list[str]:
        return [line("GET", "/todos", self._stack.token(person))]

    async def _asks(self, _: int) -> list[str]:
        return [line("POST", "/users/request-otp", body=f'{{"email":"{each}"}}') for each in new_addresses(_ADDRESSES)]

    async def _signs_in(self, count: int) -> list[str]:
        bodies = await self._mailbox.answers_to(self._stack.auth, count)
        return [line("POST", "/users/verify-otp", body=body) for body in bodies]


class Bench:
    """Runs of routes on one stack."""

    def __init__(self, stack: Stack, rest: Rest) -> None:
        self._rest = rest
        self._server = Server(stack.data)
        self._spent: dict[int, int] = {}

    async def measured(self, route: Route, connections: int, seconds: float) -> Measured:
        """One run; raises `Unsound` for an answer with another status, and for events that are not there.

        Where requests are good once only and run out, the run counts for nothing and is made again with more.
        """
        count = self._spent.get(connections, int(_FIRST * seconds))
        while True:
            lines = await route.lines(count)
            found = await self._run(route, lines, connections, seconds)
            cycle = found.cycle
            over = max(0, cycle.answered - len(lines)) if route.spends else 0
            if cycle.failed > over:
                raise Unsound(f"{route.name}: {cycle.failed} of {cycle.answered} answers were not {route.status}")
            if not over:
                break
            count *= 2
        if route.spends:
            self._spent[connections] = int(_MORE * cycle.answered) + connections
        return found

    async def _run(self, route: Route, lines: Sequence[str], connections: int, seconds: float) -> Measured:
        await self._rest.reached()
        ends, name = await self._rest.ends(), route.service
        processes = usage.started_as(name)
        service, own, postgres = usage.seconds(processes), self._server.of(name, name), self._server.in_all()
        cycle = await cycled(route.url, lines, connections=connections, seconds=seconds, status=route.status)
        await self._rest.reached()
        took = (
            usage.seconds(processes) - service,
            taken(own, self._server.of(name, name)),
            self._server.in_all() - postgres,
        )
        if route.feed and (grown := (await self._rest.ends())[route.feed] - ends[route.feed]) < cycle.answered:
            raise Unsound(f"{route.name}: {cycle.answered} answers, {grown} events")
        return Measured(cycle, *(each / cycle.answered * 1000 for each in took))


async def _measure(stack: Stack, port: int, rounds: int, seconds: float) -> Findings:
    todos = await stack.connect("todos")
    await assert_durable(todos)
    machine = await facts(todos, stack.data)
    await todos.close()
    measures: Measures = defaultdict(list)
    async with (mailbox := Mailbox()).serving(port), watching(stack) as rest:
        routes, bench = await People(stack, mailbox).prepare(), Bench(stack, rest)
        for route in routes:
            await bench.measured(route, max(CONNECTIONS), _WARM_UP)  # what a process does once
        for nr in range(1, rounds + 1):
            say(f"bench: round {nr} of {rounds}")
            for connections in CONNECTIONS:
                for route in routes:
                    one = await bench.measured(route, connections, seconds)
                    measures[route.name, connections].append(one)
                    cycle = one.cycle
                    say(f"bench: {route.name}, {connections}: {cycle.rate:,.0f}/s, p99 {cycle.p99:.1f} ms")
    return Findings(text=_text(rounds, routes, measures), goals=[], machine=machine)


def _text(rounds: int, routes: Sequence[Route], measures: Measures) -> str:
    head = (
        "route", "connections", "requests/s", "p50 ms", "p99", "p99.9",
        "CPU s per 1,000: the service", "its connections in PostgreSQL", "PostgreSQL in all",
    )  # fmt: skip
    rows = [
        (route.name, str(connections), *_columns(measures[route.name, connections]))
        for route in routes
        for connections in CONNECTIONS
    ]
    about = f"Rounds: {rounds}, everything in turn within each; closed loop, load by {generator()}."
    return f"{about}\n\n{table(head, rows)}"


def _columns(runs: Sequence[Measured]) -> tuple[str, ...]:
    columns: tuple[Callable[[Measured], float], ...] = (
        lambda run: run.cycle.rate,
        lambda run: run.cycle.p50,
        lambda run: run.cycle.p99,
        lambda run: run.cycle.p999,
        lambda run: run.service,
        lambda run: run.connections,
        lambda run: run.postgres,
    )
    return tuple(spread([column(run) for run in runs]) for column in columns)


def main() -> None:
    """Tell the table."""
    parser = argparse.ArgumentParser(prog="bench.routes", description="Measure the routes that people use most")
    parser.add_argument("--seconds", type=float, default=5, help="how long each run takes (5)")
    findings.run(parser, _found, seconds=1.0)


def _found(options: argparse.Namespace) -> Findings:
    port = ports.free_port()
    os.environ |= smtp.settings(port)
    with running() as stack:
        return uvloop.run(_measure(stack, port, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
