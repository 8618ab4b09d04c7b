"""How long things take and what gets lost, drawn from the seed."""

from random import Random


class Network:
    """One for each side of the world (database, stream): calm, or as bad as the history wants it at the moment."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.slow = 0.0
        self.loss = 0.0
        self.is_calm = True

    def delay(self, slow: float = 0.0) -> float:
        """Seconds on the way: a fraction of a millisecond, sometimes much longer (the share that is `slow`)."""
        roll = self._chance.random()
        if roll < self.slow or roll < slow:
            return self._chance.uniform(0.05, 6.0)
        return 0.0002 + roll * 0.002

    def goodbye(self) -> float:
        """Seconds until the other side knows that this one is gone: at once, or when its keep-alive finds out."""
        return self.delay() if self._chance.random() < 0.8 else self._chance.uniform(0.5, 8.0)

    def loses_answer(self) -> bool:
        """Whether an answer is lost, and the connection with it."""
        return self.loss > 0 and self._chance.random() < self.loss

    def happens(self, share: float) -> bool:
        """Whether something happens that happens in this share of cases."""
        return self._chance.random() < share
