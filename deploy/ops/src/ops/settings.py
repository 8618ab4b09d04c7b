"""Where everything is that an operator asks."""

import msgspec

from events.catalog.feeds import HEARS
from events.settings import urls_of


class Settings(msgspec.Struct, frozen=True):
    """What todo-ops reads from its environment.

    - DATABASE_URLS: where each service's database is, `name=url` by commas; a service that is not named is not asked
    - NATS_URL: the broker; several servers of one cluster by commas
    """

    database_urls: str
    nats_url: str

    def __post_init__(self) -> None:
        """Raise `ValueError` for a malformed list."""
        try:
            named = self.databases.keys()
        except ValueError as error:
            raise ValueError(f"DATABASE_URLS: {error}") from None
        if not named <= HEARS.keys():
            raise ValueError(f"DATABASE_URLS: the names are among {', '.join(HEARS)}")

    @property
    def databases(self) -> dict[str, str]:
        """The URL of a service's database, by the name of the service."""
        return urls_of(self.database_urls, ("postgres", "postgresql"))
