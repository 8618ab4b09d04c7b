"""kill -9 in the middle of load: what was accepted and not done, what was done twice, how long until all is well again.

Requests leave when they are due, each once: nobody repeats what was not answered, so nothing covers up a loss.
"""

import argparse
import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Final, TypeAlias

import asyncpg
import msgspec

from bench import findings
from bench.counts import Unsound
from bench.figures import at_most, spread, table
from bench.findings import Findings
from bench.letterbox import Letterbox
from bench.posts import BODY
from bench.requests import Answer, Connection, post
from bench.rivals import PEERS, startable
from bench.subjects import Ours, Peer, Subject
from events.ids import uuid7
from events.process import start
from local import ports
from local.console import say

LATE: Final = 1.0
"""Seconds from which an answer or an effect counts as late: until the last late one, all is not well again."""
GOAL: Final = 5.0
Send: TypeAlias = Callable[[int, float], Coroutine[None, None, None]]
SMTP_TAKES: Final = 0.05
_PEERS_RATES: Final = (100.0, 5.0)
"""To-dos and codes a second: what the slowest peer takes while each mail takes as long. Each part of a peer is killed
once: what it loses is waited for in vain."""
_STEADY: Final = 5.0
_AFTER: Final = 15.0
_LOOK: Final = 0.2
_PEERS: Final = ("background", "threaded", "faststream_asyncpg")
_PATIENCE: Final = 90.0
_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Try(msgspec.Struct, frozen=True):
    """One request: when it was due, when it ended; what it was accepted as, empty where it was not."""

    due: float
    ended: float
    accepted: str


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill under load. `failed`: requests not accepted. Seconds from the kill until nothing was late any more."""

    todos: int
    codes: int
    failed: int
    lost_rows: int
    lost_mails: int
    double_rows: int
    double_mails: int
    answers_after: float
    rows_after: float
    mails_after: float
    mails_late: int


class _Named(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    data: _Named


class Load:
    """Two open loops: to-dos, and codes for addresses that nobody has asked for."""

    def __init__(self, url: str, tokens: Sequence[str]) -> None:
        self.todos: list[Try] = []
        self.codes: list[Try] = []
        self._url = url
        self._makes = [post(url, "/todos/", BODY.encode(), token) for token in tokens]
        self._idle: deque[Connection] = deque()

    async def run(self, rates: Sequence[float], seconds: float) -> None:
        """Send so many to-dos and codes a second, and wait for all answers."""
        async with asyncio.TaskGroup() as group:
            for rate, send in zip(rates, (self._make, self._ask), strict=True):
                group.create_task(self._pace(group, rate, seconds, send))
        for connection in self._idle:
            connection.close()

    async def _pace(self, group: asyncio.TaskGroup, rate: float, seconds: float, send: Send) -> None:
        started = perf_counter()
        for nr in range(int(rate * seconds)):
            due = started + nr / rate
            await asyncio.sleep(due - perf_counter())
            group.create_task(send(nr, due))

    async def _make(self, nr: int, due: float) -> None:
        answer = await self._answer(self._makes[nr % len(self._makes)])
        is_made = answer is not None and answer.status == 201
        accepted = msgspec.json.decode(answer.body, type=_Body).data.id if answer and is_made else ""
        self.todos.append(Try(due, perf_counter(), accepted))

    async def _ask(self, _: int, due: float) -> None:
        address = f"{uuid7().hex}@example.com"
        answer = await self._answer(post(self._url, "/users/request-otp", f'{{"email":"{address}"}}'.encode(), "none"))
        self.codes.append(Try(due, perf_counter(), address if answer and answer.status == 200 else ""))

    async def _answer(self, request: bytes) -> Answer | None:
        with suppress(OSError, TimeoutError):
            while self._idle and not self._idle[0].is_open:
                self._idle.popleft()
            connection = self._idle.popleft() if self._idle else await Connection.open(self._url)
            try:
                answer = Answer(*await connection.call(request))
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return answer
        return None


class Watch:
    """When the activity row of a to-do was first seen, by its id; how often each is there."""

    def __init__(self, subject: Subject) -> None:
        self.seen: dict[str, float] = {}
        self.rows: Counter[str] = Counter()
        self._subject = subject
        self._since = datetime.now(UTC)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Look once; who is killed cannot be asked."""
        with suppress(*_AWAY):
            self.rows = await self._subject.done(self._since)
            now = perf_counter()
            for id_ in self.rows:
                self.seen.setdefault(id_, now)


async def kill(subject: Subject, part: str, box: Letterbox, rates: Sequence[float]) -> Kill:
    """Kill a part under load, and wait until everything accepted is done, or it is given up."""
    load, watch = Load(subject.url, await subject.tokens()), Watch(subject)
    looking = asyncio.create_task(watch.run())
    loading = asyncio.create_task(load.run(rates, _STEADY + _AFTER))
    await asyncio.sleep(_STEADY)
    if not watch.seen:
        raise Unsound("nothing was done before the kill")
    killed = perf_counter()
    await subject.kill(part)
    await loading
    todos, codes = ({each.accepted for each in tries if each.accepted} for tries in (load.todos, load.codes))
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not (todos <= watch.seen.keys() and codes <= box.came.keys()):  # noqa: ASYNC110 - others' doing
                await asyncio.sleep(_LOOK)
    await asyncio.sleep(LATE)  # what comes twice comes a little later
    looking.cancel()
    await asyncio.wait([looking])
    await watch.look()
    return _found(load, watch, box, killed)


def _found(load: Load, watch: Watch, box: Letterbox, killed: float) -> Kill:
    first = {address: times[0] for address, times in box.came.items()}
    made, asked = ([each for each in tries if each.accepted] for tries in (load.todos, load.codes))
    mails = [(each.ended, first[each.accepted]) for each in asked if each.accepted in first]
    rows = [(each.ended, watch.seen[each.accepted]) for each in made if each.accepted in watch.seen]
    tries = [*load.todos, *load.codes]
    return Kill(
        todos=len(made),
        codes=len(asked),
        failed=sum(not each.accepted for each in tries),
        lost_rows=sum(each.accepted not in watch.seen for each in made),
        lost_mails=sum(each.accepted not in first for each in asked),
        double_rows=sum(count - 1 for count in watch.rows.values()),
        double_mails=sum(len(box.came[each.accepted]) - 1 for each in asked if each.accepted in first),
        answers_after=_well_after(killed, [(each.due if each.accepted else 0.0, each.ended) for each in tries]),
        rows_after=_well_after(killed, rows),
        mails_after=_well_after(killed, mails),
        mails_late=sum(seen - answered > GOAL for answered, seen in mails),
    )


def _well_after(killed: float, spans: Sequence[tuple[float, float]]) -> float:
    """Seconds from the kill to the end of the last span that took too long."""
    return max((end - killed for begin, end in spans if end - begin > LATE and end > killed), default=0.0)


async def _measure(subject: Subject, rounds: int, rates: Sequence[float], found: dict[str, list[Kill]]) -> None:
    port = ports.free_port()
    async with (box := Letterbox(SMTP_TAKES)).serving(port):
        await subject.start(port)
        try:
            for nr in range(1, rounds + 1):
                for part, kills in found.items():
                    one = await kill(subject, part, box, rates)
                    say(f"bench: round {nr} of {rounds}, {subject.name}, {part}: {one}")
                    kills.append(one)
        finally:
            await subject.stop()


def _told(found: dict[str, dict[str, list[Kill]]]) -> str:
    head = (
        "killed", "accepted to-dos, codes", "not accepted", "without row", "without mail", "rows doubled",
        "mails doubled", "answers well after s", "rows", "mails", "mails over 5 s late",
    )  # fmt: skip
    lines = [(f"{name}: {part}", *_columns(runs)) for name, parts in found.items() for part, runs in parts.items()]
    return f"## kill -9 under load\n\n{table(head, lines)}"


def _columns(runs: Sequence[Kill]) -> tuple[str, ...]:
    def total(name: str) -> str:
        return f"{sum(getattr(run, name) for run in runs):,}"

    def seconds(name: str) -> str:
        return spread([getattr(run, name) for run in runs])

    counts = ("failed", "lost_rows", "lost_mails", "double_rows", "double_mails")
    times = ("answers_after", "rows_after", "mails_after")
    accepted = f"{total('todos')}, {total('codes')}"
    return accepted, *(total(each) for each in counts), *(seconds(each) for each in times), total("mails_late")


def main() -> None:
    """Tell a table and a goal."""
    parser = argparse.ArgumentParser(prog="bench.kills", description="kill -9 parts under load, and count what is lost")
    parser.add_argument("--part", action="append", choices=Ours.parts, help="this one alone; may be given again")
    parser.add_argument("--todos", type=float, default=300, help="to-dos a second (300)")
    parser.add_argument("--codes", type=float, default=20, help="codes asked for a second (20)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=_PEERS, help=f"beside it ({' '.join(_PEERS)})")
    findings.run(parser, _measured, part=["todos"], peers=[])


def _measured(options: argparse.Namespace) -> Findings:
    ours = Ours()
    found = {ours.name: _killed(ours, options.part or ours.parts, options.rounds, (options.todos, options.codes))}
    names, without = startable(options.peers)
    for peer in map(Peer, names):
        found[peer.name] = _killed(peer, peer.parts, 1, _PEERS_RATES)
    wrong = sum(run.lost_rows + run.lost_mails + run.double_rows for runs in found[ours.name].values() for run in runs)
    goal = at_most("accepted requests without their effect, and rows doubled, in all kills", [wrong], 0)
    return Findings(text=_told(found) + without, goals=[goal])


def _killed(subject: Subject, parts: Sequence[str], rounds: int, rates: Sequence[float]) -> dict[str, list[Kill]]:
    found: dict[str, list[Kill]] = {part: [] for part in parts}
    start(_measure(subject, rounds, rates, found))
    return found


if __name__ == "__main__":
    main()
