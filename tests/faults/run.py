"""One run: people at work, a fault, its end; then the first write that arrives, and the reconciliation."""

import asyncio
import os
from datetime import UTC, datetime
from random import Random
from time import monotonic
from typing import Final
from uuid import UUID

import asyncpg
import httpx

from faults.facts import AWAY, converged
from faults.fault import Effect, Fault
from faults.journal import Journal
from faults.load import Load, Person, at_work, person
from faults.reconcile import Findings, Reconciler
from faults.results import Result
from faults.standing import lies
from faults.waiting import TooLate, until
from faults.world import World

_WARM: Final = 10
_ASKED: Final = 0.4
"""How often `todo-ops status` is asked: it costs as much as all the rest."""
_SEEN_WITHIN: Final = 60.0
_SETTLED_WITHIN: Final = 150.0
LETTERS: Final = "letters"
# Completions are held for a minute to be told together; what still waits for that is not open.
_LETTERS: Final = """
select message_id, kind, state, resent, settled_at is null
    and (state <> 'queued' or kind in ('code', 'welcome') or due_at < clock_timestamp()) as is_open
from letter where part_of is null
"""


class Session:
    """Runs on one world, one after the other; what people were told in earlier ones must still be so in later ones."""

    def __init__(self, world: World, revision: str) -> None:
        self._world = world
        self._revision = revision
        self._reconciler = Reconciler(world)
        self._people: list[Person] = []
        self._codes: list[UUID] = []
        self._twice: set[str] = set()

    async def run(self, fault: Fault, seed: int, journal: Journal) -> Result:
        """Do one run; whatever goes wrong is in the result."""
        effect, found, told = Effect(journal), Findings(), Told()
        acknowledged, recovery = 0, 0.0
        try:
            dice = Random(f"{fault.name} {seed}")
            load, recovery = await self._shake(fault, dice, effect, told)
            acknowledged = load.acknowledged
            found = await self._reconcile(load, fault)
            if dice.random() < _ASKED:
                await told.ask(self._world, journal, all_is_well=True)
        except (TooLate, httpx.HTTPError, RuntimeError, *AWAY) as error:
            found.troubles.append(f"{type(error).__name__}: {error}")
        journal.note("found", troubles=found.troubles, lies=told.lies)
        return Result(
            fault=fault.name,
            seed=seed,
            when=_now(),
            revision=self._revision,
            effect=effect.seen,
            acknowledged=acknowledged,
            given_up=sum(each.given_up for each in self._people),
            lost=found.lost,
            duplicated=found.duplicated,
            reordered=found.reordered,
            twice=self._new_copies(),
            recovery=round(recovery, 2),
            goal=fault.goal,
            busy=round(os.getloadavg()[0], 1),
            truths=told.truths,
            lies=told.lies,
            troubles=found.troubles,
        )

    async def _shake(self, fault: Fault, dice: Random, effect: Effect, told: "Told") -> tuple[Load, float]:
        """Load before, during and after the fault; how long after its end a new write was seen elsewhere."""
        journal = effect.journal
        await self._world.ready()
        async with person(self._world, journal, Random(dice.getrandbits(64))) as witness:
            async with at_work(self._world, journal, Random(dice.getrandbits(64)), long=fault.long) as load:
                self._people += [*load.people, witness]
                await until(lambda: _worked(load), "people write", within=30)
                journal.note("breaks", fault=fault.name)
                async with fault.act(self._world, dice, effect):
                    if dice.random() < _ASKED:
                        await told.ask(self._world, journal, all_is_well=False)
                    journal.note("ends", fault=fault.name)
                ended = monotonic()
                journal.note("ended", fault=fault.name)
                recovery = await _seen(witness) - ended
                journal.note("seen", seconds=round(recovery, 3))
                await asyncio.sleep(dice.uniform(0.0, 0.5))
            self._codes += load.codes
        return load, recovery

    async def _reconcile(self, load: Load, fault: Fault) -> Findings:
        upto = await converged(self._world)
        found = await self._reconciler.look(upto, self._people, self._codes, whole=fault.whole)
        for each in self._people:
            found.troubles += each.wrong
            each.wrong.clear()
        return found

    async def settle(self, seed: int) -> Result:
        """Every letter of this world, once each is settled: whether it came, and came again only where it may."""
        found, rows = Findings(), []
        try:
            rows = await until(self._letters, "every letter is settled", within=_SETTLED_WITHIN, every=0.5)
        except (TooLate, *AWAY) as error:
            found.troubles.append(f"{type(error).__name__}: {error}")
        copies = dict(self._world.post.copies)
        for row in rows:
            came, may = copies.pop(row["message_id"], 0), 2 if row["resent"] else 1
            found.lack("a letter told as sent", row["state"] == "sent" and not came)
            found.repeat("a letter outside the documented window", max(0, came - may))
        found.repeat("letters that nobody wrote", len(copies) if rows else 0)
        return Result(
            fault=LETTERS,
            seed=seed,
            when=_now(),
            revision=self._revision,
            effect=[f"{len(rows)} letters, {sum(row['state'] == 'unknown' for row in rows)} of them unknown"],
            acknowledged=len(rows),
            lost=found.lost,
            duplicated=found.duplicated,
            twice=sum(count > 1 for count in self._world.post.copies.values()),
            troubles=found.troubles,
        )

    async def _letters(self) -> list[asyncpg.Record]:
        """All letters that are to go on their own, once none of them is under way or due."""
        rows = await self._world.rows("mailer", _LETTERS)
        return [] if any(row["is_open"] for row in rows) else rows

    def _new_copies(self) -> int:
        """Letters whose second copy came in this run."""
        now = {id_ for id_, count in self._world.post.copies.items() if count > 1}
        new = now - self._twice
        self._twice = now
        return len(new)


class Told:
    """What `todo-ops status` said in a run."""

    def __init__(self) -> None:
        self.truths = 0
        self.lies: list[str] = []

    async def ask(self, world: World, journal: Journal, *, all_is_well: bool) -> None:
        """Ask once, and compare."""
        found = await lies(world, all_is_well=all_is_well)
        self.truths += not found
        self.lies += found
        journal.note("status", lies=found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


async def _worked(load: Load) -> bool:
    return load.acknowledged >= _WARM


async def _seen(witness: Person) -> float:
    """Write something; the moment from which it is in the writer's activity."""
    ack = await witness.write()
    if ack is None:
        raise TooLate("the first write after the fault was not answered")
    headers = {"X-Min-Position": f"TODOS:{ack.seq}"}

    async def look() -> bool:
        try:
            answer = await witness.http.get("/activity/?action=todo_created&limit=1", headers=headers)
        except httpx.TransportError:
            return False
        return answer.is_success and [entry["seq"] for entry in answer.json()["data"]] == [ack.seq]

    await until(look, "the first write after the fault in the activity", within=_SEEN_WITHIN)
    return monotonic()
