"""Whoever sends the letters: may refuse one, may be slow, may not answer."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from simulation.network import Network


class Provider:
    """`taken`: what it was given, by row: each time the claim's token. `on_taken` is told at once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.taken: dict[UUID, list[UUID]] = {}
        self.refuses = 0.0
        self.hangs = 0.0
        self.on_taken: Callable[[UUID, UUID], None] = lambda *_: None

    async def take(self, row: Any) -> bool:
        """Hand a letter over: True when it has it, False when it refused; may never return."""
        await asyncio.sleep(self._network.delay())
        if self._network.happens(self.refuses):
            return False
        self.taken.setdefault(row["id"], []).append(row["token"])
        self.on_taken(row["id"], row["token"])
        if self._network.happens(self.hangs):
            await asyncio.sleep(60)
        await asyncio.sleep(self._network.delay())
        return True

    async def look_for(self) -> None:
        """Ask whether it has a letter: it takes its time and does not know."""
        await asyncio.sleep(self._network.delay() * 200)
