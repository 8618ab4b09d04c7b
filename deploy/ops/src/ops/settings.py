"""Where everything is that an operator asks."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from events.access import Access
from events.backing import wrong_broker, wrong_database
from events.catalog.feeds import HEARS, guests_of
from events.settings import urls_of


class Settings(msgspec.Struct, frozen=True):
    """What todo-ops reads from its environment.

    - DATABASE_URLS: where each service's database is, `name=url` by commas; a service that is not named is not asked
    - NATS_URL: the broker; several servers of one cluster by commas
    - GUESTS: services from elsewhere that hear feeds, `name=FEED+FEED` by commas
    - NATS_NKEY_SEED, NATS_CA_FILE, APP_ENV, ALLOW_PLAINTEXT: as the services have them, see `events.backing`
    """

    database_urls: str
    nats_url: str
    guests: str = ""
    nats_nkey_seed: str = ""
    nats_ca_file: str = ""
    app_env: Literal["development", "production"] = "production"
    allow_plaintext: bool = False

    def __post_init__(self) -> None:
        """Raise `ValueError` naming everything that is wrong."""
        if wrong := list(self._wrong()):
            raise ValueError("; ".join(wrong))

    @property
    def databases(self) -> dict[str, str]:
        """The URL of a service's database, by the name of the service."""
        return urls_of(self.database_urls, ("postgres", "postgresql"))

    @property
    def hears(self) -> Mapping[str, tuple[str, ...]]:
        """The feeds that each service and each guest hears."""
        return HEARS | guests_of(self.guests)

    @property
    def nats(self) -> Access:
        """How the broker is reached."""
        return Access(self.nats_url, self.nats_nkey_seed, self.nats_ca_file)

    def _wrong(self) -> Iterator[str]:
        insist = self.app_env == "production" and not self.allow_plaintext
        yield from wrong_broker(self.nats, insist=insist)
        try:
            databases = self.databases
        except ValueError as error:
            yield f"DATABASE_URLS: {error}"
            return
        for service, url in databases.items():
            yield from wrong_database(f"DATABASE_URLS ({service})", url, insist=insist)
        try:
            known = self.hears.keys()
        except ValueError as error:
            yield f"GUESTS: {error}"
            return
        if not databases.keys() <= known:
            yield f"DATABASE_URLS: the names are among {', '.join(known)}"
