"""One feed of a service in one process: its log where it answers requests, its relay where it works."""

from collections.abc import Callable, Sequence

from events.broker import Broker
from events.feed import Feed
from events.health import Check
from events.log import Log
from events.notify import Notifier
from events.postgres import Dial
from events.process import Roles, Task
from events.relay import Relay, channel_of


class Outlet:
    """Wires log, relay and wake-up: in the process when both roles share one, else by NOTIFY."""

    def __init__(self, feed: Feed, dial: Dial, broker: Broker, roles: Roles) -> None:
        self._relay = Relay(feed, dial, broker) if roles.worker else None
        self._crier = self._relay or Notifier(channel_of(feed.name), dial)
        self.wake = self._crier.wake
        self.log = Log(feed.name, dial, on_appended=self.wake)

    def tasks(self) -> Sequence[Task]:
        """What must run for this feed in this process."""
        return [self.log.run, self._crier.run]

    def checks(self) -> Sequence[Callable[[], Check]]:
        """What readiness asks of this feed."""
        return [self.log.check, *([self._relay.check] if self._relay else [])]
