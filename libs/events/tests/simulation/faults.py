"""What goes wrong in a history. Each fault breaks something now, and heals it by itself a little later."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol, TypeAlias

from feeding import FEED

from events.consumer import Consumer
from simulation.loop import Loop
from simulation.nats import Wire
from simulation.network import Network
from simulation.parts import CONSUMER, Part
from simulation.postgres import Server
from simulation.provider import Provider
from simulation.tables import Store


class World(Protocol):
    """What a fault can reach."""

    chance: Random
    loop: Loop
    server: Server
    wire: Wire
    database_network: Network
    stream_network: Network
    provider: Provider
    parts: list[Part]
    store: Store

    def stray(self) -> None: ...

    def say(self, *words: object) -> None: ...


def _for_a_while(world: World, thing: object, name: str, value: Any, seconds: float = 4.0) -> None:
    before = type(value)(0)
    setattr(thing, name, value)
    world.loop.later(world.chance.uniform(0.5, seconds), world.loop.outside, setattr, thing, name, before)


def kill(world: World) -> None:
    part = world.chance.choice(world.parts)
    if part.is_up:
        _die(world, part)


def pause(world: World) -> None:
    part = world.chance.choice(world.parts)
    if part.is_up:
        _stop(world, part, world.chance.uniform(0.1, 7))


def kill_between_steps(world: World) -> None:
    """Within a few steps from now: so the middle of things is hit as often as the long waits between them."""
    _light(world, world.chance.choice(world.parts), lambda part: _die(world, part))


def pause_between_steps(world: World) -> None:
    _light(world, world.chance.choice(world.parts), lambda part: _stop(world, part, world.chance.uniform(0.1, 7)))


def depose(world: World) -> None:
    """Stop whoever holds the consumer's lease until that has ended, in the middle of things."""
    row = world.store.tables["lease"].get((f"consumer {CONSUMER}",))
    for part in world.parts:
        if row is not None and isinstance(part.heart, Consumer) and part.heart._lease.holder == row["holder"]:
            _light(world, part, lambda part: _stop(world, part, world.chance.uniform(3, 7)))


def _light(world: World, part: Part, burn: Callable[[Part], None]) -> None:
    if part.process is not None and not part.process.dead:
        part.process.fuse = world.chance.randint(1, 80)
        part.process.burn = lambda: burn(part)


def _die(world: World, part: Part) -> None:
    world.say("killed", part.name)
    part.kill()
    world.loop.later(world.chance.uniform(0, 3), world.loop.outside, part.start)


def _stop(world: World, part: Part, seconds: float) -> None:
    world.say("paused", part.name)
    process = part.process
    assert process is not None
    process.pause()
    world.loop.later(seconds, world.loop.outside, process.resume)


def cut_database(world: World) -> None:
    for session in list(world.server.sessions):
        if world.chance.random() < 0.4:
            session.client.cut()


def hang_database(world: World) -> None:
    """Some connections answer no more: what is sent over them arrives, or does not."""
    for session in list(world.server.sessions):
        if world.chance.random() < 0.3:
            session.client.is_hung = True
            session.is_deaf |= world.chance.random() < 0.5


def restart_database(world: World) -> None:
    world.server.restart(world.chance.uniform(0.1, 3))


def lose_answers(world: World) -> None:
    _for_a_while(world, world.database_network, "loss", world.chance.uniform(0.02, 0.3))


def slow_database(world: World) -> None:
    _for_a_while(world, world.database_network, "slow", world.chance.uniform(0.02, 0.3))


def slow_connections(world: World) -> None:
    """Some connections to the database are slow now and then, the others are not."""
    for session in list(world.server.sessions):
        if world.chance.random() < 0.4:
            session.client.slow = world.chance.uniform(0.1, 0.6)


def slow_stream(world: World) -> None:
    _for_a_while(world, world.stream_network, "slow", world.chance.uniform(0.02, 0.2))


def cut_stream(world: World) -> None:
    for client in list(world.wire.clients):
        if world.chance.random() < 0.5:
            client.cut()


def hang_stream(world: World) -> None:
    for client in list(world.wire.clients):
        if world.chance.random() < 0.5:
            client.hang(world.chance.uniform(1, 7))


def restart_stream(world: World) -> None:
    world.wire.restart(world.chance.uniform(0.1, 3))


def lose_tail(world: World) -> None:
    world.wire.restart(world.chance.uniform(0.1, 3), lost_tail=world.chance.randint(1, 8))


def delete_stream(world: World) -> None:
    world.wire.broker.ask(f"$JS.API.STREAM.DELETE.{FEED.name}", b"")


def fill_stream(world: World) -> None:
    stream = world.wire.broker.streams.get(FEED.name)
    if stream is not None:
        _for_a_while(world, stream, "is_full", value=True)


def lose_publishes(world: World) -> None:
    _for_a_while(world, world.wire, "lost_publish", world.chance.uniform(0.05, 0.5))


def lose_deliveries(world: World) -> None:
    _for_a_while(world, world.wire, "lost_delivery", world.chance.uniform(0.2, 0.7))


def late_acks(world: World) -> None:
    _for_a_while(world, world.wire, "late_ack", world.chance.uniform(0.1, 0.5))


def stray(world: World) -> None:
    world.stray()


def refuse_letters(world: World) -> None:
    _for_a_while(world, world.provider, "refuses", world.chance.uniform(0.1, 0.8))


def hang_provider(world: World) -> None:
    _for_a_while(world, world.provider, "hangs", world.chance.uniform(0.1, 0.8))


Fault: TypeAlias = Callable[[World], None]


class Theme(NamedTuple):
    """What a history is about: who takes part, which faults are how likely, how slowly all of it goes on."""

    cast: tuple[str, ...]
    faults: dict[Fault, int]
    poison: float = 0.3
    pace: float = 1.0
    weight: float = 1.0


_PROCESSES = {kill: 3, pause: 4, kill_between_steps: 6, pause_between_steps: 6}
_DATABASE = {
    cut_database: 3,
    hang_database: 3,
    restart_database: 2,
    lose_answers: 4,
    slow_database: 2,
    slow_connections: 2,
}
_LINKS = {slow_stream: 2, cut_stream: 3, hang_stream: 2, restart_stream: 2, late_acks: 2}
_STREAM = {lose_tail: 3, delete_stream: 1, fill_stream: 1, lose_publishes: 2, lose_deliveries: 4, stray: 3}
_LETTERS = {refuse_letters: 1, hang_provider: 1}

THEMES: dict[str, Theme] = {
    "anything": Theme(("writer", "relay", "hearer"), _PROCESSES | _DATABASE | _LINKS | _STREAM | _LETTERS),
    "log": Theme(("writer",), _PROCESSES | _DATABASE),
    "relay": Theme(("writer", "relay"), _PROCESSES | _LINKS | _STREAM | {lose_answers: 1, stray: 8}),
    "hearing": Theme(("writer", "relay", "hearer"), {lose_deliveries: 6, lose_tail: 3, kill_between_steps: 3} | _LINKS),
    "takeover": Theme(
        ("writer", "relay", "hearer", "hearer"), {depose: 3, hang_database: 6, slow_connections: 2}, 0.1, 4.0
    ),
    "letters": Theme(
        ("writer", "relay", "hearer", "hearer"),
        {slow_connections: 6, pause_between_steps: 4, hang_database: 1, kill_between_steps: 2} | _LETTERS,
        pace=4.0,
        weight=2.0,
    ),
    "parking": Theme(
        ("writer", "relay", "hearer", "hearer"),
        {slow_connections: 5, depose: 2, kill_between_steps: 2, lose_answers: 1},
        poison=1.0,
        pace=1.5,
        weight=2.0,
    ),
}
