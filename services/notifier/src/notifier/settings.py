"""What this service reads from its environment."""

from typing import Final, Literal

from msgspec import Struct

WEB_PUSH_SERVICES: Final = (
    "https://fcm.googleapis.com,https://updates.push.services.mozilla.com,https://*.push.apple.com,"
    "https://*.notify.windows.com"
)


class Settings(Struct, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - CORS_ORIGINS: web origins that may call and open sockets, separated by commas
    - FCM_ACCOUNT: the key file of a Google service account, as JSON; without it nothing goes by FCM
    - FCM_URL: where FCM is
    - VAPID_PRIVATE_KEY: P-256, 32 bytes in base64url; without it nothing goes by Web Push
    - VAPID_CONTACT: a mailto: or https: URL by which a push service reaches the operator
    - WEB_PUSH_SERVICES: origins that subscriptions may name, `https://*.example.org` for all below, separated by commas
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
    fcm_account: str = ""
    fcm_url: str = "https://fcm.googleapis.com"
    vapid_private_key: str = ""
    vapid_contact: str = ""
    web_push_services: str = WEB_PUSH_SERVICES
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""

    def __post_init__(self) -> None:
        if self.vapid_private_key and not self.vapid_contact.startswith(("mailto:", "https://")):
            raise ValueError("VAPID_CONTACT must be a mailto: or https: URL where VAPID_PRIVATE_KEY is set")

    @property
    def services(self) -> tuple[str, ...]:
        """The origins of WEB_PUSH_SERVICES."""
        return tuple(self.web_push_services.split(","))

    @property
    def origins(self) -> list[str]:
        """The web origins of CORS_ORIGINS."""
        return [origin for origin in self.cors_origins.split(",") if origin]
