"""One history: what runs, what breaks and when, all of it drawn from one seed."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import nats.errors
from feeding import FEED

from events.acts import By, Chosen, discard, redrive
from events.postgres import AWAY
from events.streams import apply
from simulation import faults, parts
from simulation.clients import Clients, Wish
from simulation.invariants import Invariants
from simulation.loop import BEGINNING, PROCESS, Loop
from simulation.nats import Link, Wire
from simulation.network import Network
from simulation.parts import CONSUMER, Part
from simulation.postgres import Server
from simulation.provider import Provider
from simulation.stream import Broker, Stored
from simulation.tables import Store

PATIENCE = 240.0
"""Virtual seconds after the last fault within which everything must have come to rest."""


class Outcome(NamedTuple):
    """How a history ended: `broken` names the promise that did not hold; equal seeds have equal hashes."""

    seed: int
    broken: str
    trace_hash: str
    events: int
    steps: int
    seconds: float
    trace: list[tuple[object, ...]]


class World:
    """Everything in one history."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.loop = Loop(self._branch())
        PROCESS.set(self.loop.outside)
        self.trace: list[tuple[object, ...]] = []
        self.database_network = Network(self._branch())
        self.stream_network = Network(self._branch())
        self.store = Store(self.loop.time, self._branch())
        self.server = Server(self.loop, self.database_network, self.store)
        self.broker = Broker(self.loop.time)
        self.wire = Wire(self.loop, self.stream_network, self.broker)
        self.provider = Provider(Network(self._branch()))
        self.window = self.chance.randint(1, 6)
        self.poison: dict[int, str] = {}
        self.invariants = Invariants(self.store, self.broker, self.window, self.loop.stop)
        themes = list(faults.THEMES.values())
        self.theme = self.chance.choices(themes, [theme.weight for theme in themes])[0]
        self.cast = self.theme.cast
        self.parts = self._parts()
        writers = [part for part in self.parts if part.name.startswith("writer")]
        self.clients = Clients(self.loop, self._branch(), writers, self.store, people=self.chance.randint(1, 3))
        self.is_calm = False
        self._watch()

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.loop.now, UTC)

    def say(self, *words: object) -> None:
        """A line of the trace."""
        self.trace.append((self.loop.now - BEGINNING, *words))

    def ended(self, name: str, error: BaseException) -> None:
        """A process must not end by itself."""
        self.invariants.hold(False, f"{name} ended by itself: {error!r}")

    def stray(self) -> None:
        """Somebody publishes what is no event."""
        self.broker.publish("ev.todos.1.Stray", b"{}", {})

    def run(self) -> Outcome:
        """Live it."""
        self.store.tables["feed"][(FEED.name,)] = {"last_seq": 0}
        before = random.getstate()
        random.seed(self.seed)
        try:
            story = self.loop.spawn(self.loop.outside, self._story())
            story.add_done_callback(lambda _: self.loop.stop())
            self.loop.run()
            self._judge(story)
            steps, seconds, trace = self.loop.steps, self.loop.now - BEGINNING, self.trace[:]
            self.server.is_over = self.wire.is_over = True
            self.loop.end()
            self.invariants.hold(not self.loop.errors, "; ".join(self.loop.errors))
        finally:
            random.setstate(before)
        digest = blake2b(repr((steps, trace)).encode(), digest_size=8).hexdigest()
        events = len(self.store.tables["log"])
        return Outcome(self.seed, self.invariants.broken, digest, events, steps, seconds, trace)

    def _judge(self, story: asyncio.Task[None]) -> None:
        self.invariants.hold(not self.loop.errors, "; ".join(self.loop.errors))
        if story.done() and story.exception() is not None:
            raise story.exception() or AssertionError
        self.invariants.hold(story.done() or self.invariants.broken, "nothing moves any more")

    def _branch(self) -> Random:
        return Random(self.chance.getrandbits(64))

    def _parts(self) -> list[Part]:
        builds = {"writer": parts.writer, "relay": parts.relay, "hearer": parts.hearer}
        names = list(self.cast) + [name for name in dict.fromkeys(self.cast) if self.chance.random() < 0.4]
        return [Part(self, f"{name} {number}", builds[name]) for number, name in enumerate(names[:5], start=1)]

    def _watch(self) -> None:
        """Have everything that happens written down and looked at."""
        look = self.broker.on_store

        def stored(name: str, seq: int, message: Stored) -> None:
            self.say("stored", seq)
            look(name, seq, message)

        self.broker.on_store = stored
        self.server.asked = self.say
        self.provider.on_taken = self._taken
        self.clients.on_answer = self._answered

    def _taken(self, letter: UUID, _: UUID) -> None:
        self.say("taken", letter.hex[:8])
        self.invariants.taken(letter, self.provider.taken[letter])

    def _answered(self, wish: Wish) -> None:
        self.say("answered", wish.number)
        self.invariants.answered(wish, self.clients)

    # The story

    async def _story(self) -> None:
        if "relay" in self.cast:
            await self._mend_stream()
        for part in self.parts:
            part.start()
        if self.chance.random() < self.theme.poison:
            self._poison()
        people = [self._person() for _ in range(self.chance.randint(1, 3))]
        helping = self.loop.spawn(self.loop.outside, self._operate())
        await self._break()
        self._heal()
        await asyncio.wait(people, timeout=PATIENCE)
        await self._come_to_rest()
        helping.cancel()

    def _person(self) -> asyncio.Task[None]:
        pause = self.chance.uniform(0.05, 0.8) * self.theme.pace
        return self.loop.spawn(self.loop.outside, self.clients.run(self.chance.randint(1, 8), pause))

    def _poison(self) -> None:
        for _ in range(self.chance.randint(1, 3)):
            self.poison[self.chance.randint(1, 12)] = self.chance.choice(["poison", "bug"])
        self.loop.later(self.chance.uniform(0.3, 4), self.loop.outside, self.poison.clear)

    async def _break(self) -> None:
        """A few kinds of faults, again and again."""
        kinds, weights = list(self.theme.faults), list(self.theme.faults.values())
        chosen = self.chance.choices(kinds, weights, k=self.chance.randint(1, 4))
        for _ in range(self.chance.randint(1, 8)):
            await asyncio.sleep(self.chance.uniform(0.01, 0.8) * self.theme.pace)
            fault = self.chance.choice(chosen)
            self.say("fault", fault.__name__)
            fault(self)

    def _heal(self) -> None:
        """Nothing breaks any more; whatever was broken is mended."""
        self.say("calm")
        self.is_calm = True
        for network in (self.database_network, self.stream_network):
            network.slow = network.loss = 0.0
        for session in self.server.sessions:
            session.client.slow = 0.0
        self.wire.lost_publish = self.wire.lost_delivery = self.wire.late_ack = 0.0
        self.provider.refuses = self.provider.hangs = 0.0
        self.poison.clear()
        for part in self.parts:
            if part.process is not None:
                part.process.fuse = 0
                part.process.resume()

    async def _operate(self) -> None:
        """An operator: makes missing streams, mends histories, tries parked events again, gives some up."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
            await self._mend_stream()
            if "hearer" in self.cast and self.store.tables["parked"]:
                with suppress(*AWAY):
                    async with asyncio.timeout(5):
                        await self._act(await self.server.dial())

    async def _act(self, connection: Any) -> None:
        by, roll = By("an operator", "the simulation"), self.chance.random()
        chosen = Chosen(seq=self.chance.randint(1, 12)) if roll < 0.3 else Chosen()
        if not self.is_calm and roll < 0.15:
            await discard(connection, CONSUMER, chosen, by)
        elif self.is_calm or roll < 0.6:
            most = self.chance.choice([None, None, 1, 2])
            await redrive(connection, CONSUMER, Chosen() if self.is_calm else chosen, by, events_max=most)

    async def _mend_stream(self) -> None:
        if "relay" not in self.cast:
            return
        if self.invariants.strays() and (self.is_calm or self.chance.random() < 0.3):
            faults.delete_stream(self)
        if FEED.name not in self.broker.streams and self.wire.is_up:
            link = Link(self.wire)
            running = self.loop.spawn(self.loop.outside, link.run())
            try:
                async with asyncio.timeout(5):
                    await apply(await link.jetstream(), FEED)
            except (nats.errors.Error, *AWAY):
                return
            finally:
                running.cancel()

    async def _come_to_rest(self) -> None:
        deadline = self.loop.now + PATIENCE
        while (left := self._left()) and self.loop.now < deadline:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        self.invariants.hold(not left, f"after {PATIENCE:.0f} s of calm: {left}")
        self.invariants.final(self.clients)

    def _left(self) -> str:
        missing = self.invariants.missing(self.clients, set(self.cast))
        return missing or self.invariants.letters(self.provider.taken)
