"""The decider pattern: a pure decision over a state that is folded from events.

After Jérémie Chassaing, "Functional Event Sourcing Decider" (2021). A decision returns a list of events; the empty
list means "already so". `now` and every random choice travel in the command.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, E, S]):
    """What an aggregate is: how it decides, how it evolves, where it begins."""

    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]
    initial: S

    def fold(self, events: Iterable[E], state: S | None = None) -> S:
        """The state after `events`, from `state` or from the beginning."""
        return reduce(self.evolve, events, self.initial if state is None else state)
