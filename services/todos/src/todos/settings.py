"""What this service reads from its environment."""

from typing import Annotated, Literal

from msgspec import Meta

from events.backing import UsesDatabase, UsesServers


class Settings(UsesServers, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - NATS_NKEY_SEED, NATS_CA_FILE, ALLOW_PLAINTEXT: how it proves itself, and who may read along: `events.backing`
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - TODOS_PER_PERSON: how many to-dos somebody may keep
    - CORS_ORIGINS: web origins that may call, separated by commas
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

    host: str = "127.0.0.1"
    port: int = 8085
    jwks_url: str
    issuer: str
    audience: str = "todo"
    todos_per_person: Annotated[int, Meta(ge=1)] = 10_000
    cors_origins: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""


class Asked(UsesDatabase, frozen=True, kw_only=True):
    """What a command reads that only asks the database: DATABASE_URL, as the runtime role."""
