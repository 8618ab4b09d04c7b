"""What this service reads from its environment."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

FEWEST_DAYS: Final = 100


class Settings(Struct, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - ACTIVITY_DAYS: how long entries are kept after their month is over; 0: for ever, else 100 at least, for reports
    - CORS_ORIGINS: web origins that may call, separated by commas
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

    app_env: Literal["development", "production"] = "production"
    database_url: str
    nats_url: str
    host: str = "127.0.0.1"
    port: int = 8087
    jwks_url: str
    issuer: str
    audience: str = "todo"
    activity_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    cors_origins: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for days that are too few."""
        if 0 < self.activity_days < FEWEST_DAYS:
            raise ValueError(f"ACTIVITY_DAYS must be 0, for ever, or {FEWEST_DAYS} at least: reports look back so far")


class Asked(Struct, frozen=True, kw_only=True):
    """What a command reads that only asks the database: DATABASE_URL, as the runtime role."""

    database_url: str
