"""Where everything is that an operator asks."""

from collections.abc import Mapping

import msgspec

from events.catalog.feeds import HEARS, guests_of
from events.settings import urls_of


class Settings(msgspec.Struct, frozen=True):
    """What todo-ops reads from its environment.

    - DATABASE_URLS: where each service's database is, `name=url` by commas; a service that is not named is not asked
    - NATS_URL: the broker; several servers of one cluster by commas
    - GUESTS: services from elsewhere that hear feeds, `name=FEED+FEED` by commas
    """

    database_urls: str
    nats_url: str
    guests: str = ""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a malformed list."""
        try:
            named = self.databases.keys()
        except ValueError as error:
            raise ValueError(f"DATABASE_URLS: {error}") from None
        try:
            known = self.hears.keys()
        except ValueError as error:
            raise ValueError(f"GUESTS: {error}") from None
        if not named <= known:
            raise ValueError(f"DATABASE_URLS: the names are among {', '.join(known)}")

    @property
    def databases(self) -> dict[str, str]:
        """The URL of a service's database, by the name of the service."""
        return urls_of(self.database_urls, ("postgres", "postgresql"))

    @property
    def hears(self) -> Mapping[str, tuple[str, ...]]:
        """The feeds that each service and each guest hears."""
        return HEARS | guests_of(self.guests)
