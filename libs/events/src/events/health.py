"""What a process says about itself: ok, late (it will catch up by itself) or failed (somebody must look)."""

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

State = Literal["ok", "late", "failed"]


class Check(msgspec.Struct, frozen=True):
    """One part's state, with a sentence for the person who looks."""

    name: str
    state: State
    detail: str = ""


class Health:
    """The checks of a process. Ready: nothing failed and the process is not leaving."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Check]] = []
        self.leaving = False

    def add(self, *sources: Callable[[], Check]) -> None:
        """Add sources that are asked at each look; they must answer from memory, at once."""
        self._sources.extend(sources)

    def checks(self) -> list[Check]:
        """The state of each part now."""
        return [source() for source in self._sources]

    @staticmethod
    def is_ready(checks: Iterable[Check]) -> bool:
        """Whether none of these failed."""
        return all(check.state != "failed" for check in checks)
