"""What this service reads from its environment."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from activity.evidence import KEY_SIZE
from events.access import Access
from events.backing import UsesDatabase, wrong_broker
from events.keys import Keys, read_keys

FEWEST_DAYS: Final = 100


class Asked(UsesDatabase, frozen=True, kw_only=True):
    """What a command reads, which asks the database alone: see `Settings`."""

    seal_dir: str = ""
    seal_keys: str = ""
    clock_file: str = ""

    @property
    def keys(self) -> Keys | None:
        """The keys of seals; None where none is made."""
        return read_keys(self.seal_keys, size=KEY_SIZE) if self.seal_dir else None

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        try:
            read_keys(self.seal_keys, size=KEY_SIZE) if self.seal_dir or self.seal_keys else None
        except ValueError as error:
            yield f"SEAL_KEYS {error}"


class Settings(Asked, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - NATS_NKEY_SEED, NATS_CA_FILE, ALLOW_PLAINTEXT: how it proves itself, and who may read along: `events.backing`
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - ACTIVITY_DAYS: how long entries are kept after their month is over; 0: for ever, else 100 at least, for reports
    - SEAL_DIR: a folder outside of the database for each hour's seal of the archive; without it, none is made
    - SEAL_KEYS: seeds of Ed25519 keys, `kid:base64url`; the first signs seals, all are accepted; needed for SEAL_DIR
    - CORS_ORIGINS: web origins that may call, separated by commas
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

    nats_url: str
    nats_nkey_seed: str = ""
    nats_ca_file: str = ""
    host: str = "127.0.0.1"
    port: int = 8087
    jwks_url: str
    issuer: str
    audience: str = "todo"
    activity_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    cors_origins: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def nats(self) -> Access:
        """How the broker is reached."""
        return Access(self.nats_url, self.nats_nkey_seed, self.nats_ca_file)

    def _wrong(self) -> Iterator[str]:
        yield from wrong_broker(self.nats, insist=self.insists_on_tls)
        if 0 < self.activity_days < FEWEST_DAYS:
            yield f"ACTIVITY_DAYS must be 0, for ever, or {FEWEST_DAYS} at least: reports look back so far"
        yield from super()._wrong()
