"""What this service reads from its environment."""

from typing import Literal

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - CORS_ORIGINS: web origins that may call and open sockets, separated by commas
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

    app_env: Literal["development", "production"] = "production"
    database_url: str
    nats_url: str
    host: str = "127.0.0.1"
    port: int = 8088
    jwks_url: str
    issuer: str
    audience: str = "todo"
    cors_origins: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""

    @property
    def origins(self) -> list[str]:
        """The web origins of CORS_ORIGINS."""
        return [origin for origin in self.cors_origins.split(",") if origin]
