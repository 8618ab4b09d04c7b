"""Given, when, then: a domain's tests read as sentences, and every command is retried.

given(TODO, created).when(Toggle(...)).then(TodoToggled(...))
given(TODO).when(Toggle(...)).refused(NotFound)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

from events.decider import C, Decider, E, S

__all__ = ["Given", "Outcome", "given"]


def given(decider: Decider[C, E, S], *events: E) -> "Given[C, E, S]":
    """Start from what has happened."""
    return Given(decider, decider.fold(events))


@dataclass(frozen=True, slots=True)
class Given(Generic[C, E, S]):
    """A state from which a command is tried."""

    decider: Decider[C, E, S]
    state: S

    def when(self, command: C) -> "Outcome[C, E, S]":
        """Try one command; whether it was accepted is asked of the outcome."""
        try:
            return Outcome(self, command, self.decider.decide(command, self.state), None)
        except Exception as refusal:  # noqa: BLE001 - whatever the domain raises is the outcome under test
            return Outcome(self, command, (), refusal)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[C, E, S]):
    """What a command led to."""

    before: Given[C, E, S]
    command: C
    events: Sequence[E]
    refusal: Exception | None

    @property
    def state(self) -> S:
        """The state after the command."""
        return self.before.decider.fold(self.events, self.before.state)

    def then(self, *expected: E) -> "Given[C, E, S]":
        """It was accepted and led to exactly these events; returns the state to go on from."""
        if self.refusal is not None:
            raise AssertionError(f"expected {list(expected)}, was refused: {self.refusal!r}") from self.refusal
        assert list(self.events) == list(expected), f"expected {list(expected)}, got {list(self.events)}"  # noqa: S101
        return Given(self.before.decider, self.state)

    def then_nothing(self) -> "Given[C, E, S]":
        """It was accepted and changed nothing: already so."""
        return self.then()

    def refused(self, kind: type[Exception]) -> Exception:
        """It was refused with this kind of error; returns the error."""
        assert isinstance(self.refusal, kind), f"expected {kind.__name__}, got {self.refusal or self.events!r}"  # noqa: S101
        return self.refusal

    def retried(self) -> Sequence[Any]:
        """The events of the same command tried once more after it was accepted."""
        return self.before.decider.decide(self.command, self.state)
