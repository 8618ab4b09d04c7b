"""Somebody who reads figures all the time, and sees whether an answer fails or says something else than before."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import httpx

_ALL: Final = ("active", "retention", "sign_ins", "messages")
_OWN: Final = ("daily", "pattern", "cohorts")


class Reader:
    """Asks as of one position, and as of now; an answer as of a position must have the bytes that it had."""

    def __init__(self, url: str, token: str, position: int, people: Sequence[UUID]) -> None:
        self.reads = 0
        self.failed: list[str] = []
        self.changed: list[str] = []
        self._http = httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60)
        own = [f"/analytics/{name}?user_id={person}" for person in people for name in _OWN]
        self._questions = [*own, *(f"/analytics/{name}?" for name in _ALL)]
        self._position = position
        self._first: dict[str, bytes] = {}

    async def look(self) -> None:
        """Ask everything once, and remember it."""
        for question in self._questions:
            answer = await self._http.get(f"{question}&as_of={self._position}")
            self._first[question] = answer.raise_for_status().content

    async def run(self, over: asyncio.Event) -> None:
        """Ask until it is over."""
        while not over.is_set():
            await self._ask(random.choice(self._questions))

    async def _ask(self, question: str) -> None:
        pinned = random.random() < 0.5
        try:
            answer = await self._http.get(f"{question}&as_of={self._position}" if pinned else question)
        except httpx.HTTPError as error:
            self.failed.append(f"{question}: {type(error).__name__}")
            return
        self.reads += 1
        if answer.status_code != 200:
            self.failed.append(f"{question}: {answer.status_code}")
        elif pinned and answer.content != self._first[question]:
            self.changed.append(question)

    async def close(self) -> None:
        """Leave."""
        await self._http.aclose()
