"""What this service reads from its environment."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta
from phonenumbers import SUPPORTED_REGIONS

from events.backing import UsesServers
from events.keys import read_keys
from notifier.fcm import is_account
from notifier.webpush import is_key

KEY_SIZE: Final = 32
WEB_PUSH_SERVICES: Final = (
    "https://fcm.googleapis.com,https://updates.push.services.mozilla.com,https://*.push.apple.com,"
    "https://*.notify.windows.com"
)


class Settings(UsesServers, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - NATS_NKEY_SEED, NATS_CA_FILE, ALLOW_PLAINTEXT: how it proves itself, and who may read along: `events.backing`
    - HOST, PORT: where HTTP is served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted
    - CORS_ORIGINS: web origins that may call and open sockets, separated by commas
    - FCM_ACCOUNT: the key file of a Google service account, as JSON; without it nothing goes by FCM
    - FCM_URL: where FCM is
    - VAPID_PRIVATE_KEY: P-256, 32 bytes in base64url; without it nothing goes by Web Push
    - VAPID_CONTACT: a mailto: or https: URL by which a push service reaches the operator
    - WEB_PUSH_SERVICES: origins that subscriptions may name, `https://*.example.org` for all below, separated by commas
    - SMS_ACCOUNT_SID, SMS_AUTH_TOKEN, SMS_FROM: an account with Twilio and its number; without them nothing goes by SMS
    - SMS_URL: where Twilio is, or whatever speaks its API
    - SMS_COUNTRIES: regions (ISO 3166) whose numbers get codes, as `KR,US`; without them all do
    - SMS_PER_DAY: how many messages a person gets in 24 hours
    - PHONE_KEYS: keys behind the codes that prove a phone, `kid:base64url`; the first makes codes, all are accepted,
      and numbers are counted under them for a day; needed for SMS
    - PRODUCT_NAME: in whose name messages are sent
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

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
    sms_account_sid: str = ""
    sms_auth_token: str = ""
    sms_from: str = ""
    sms_url: str = "https://api.twilio.com"
    sms_countries: str = ""
    sms_per_day: Annotated[int, Meta(ge=1)] = 20
    phone_keys: str = ""
    product_name: str = "Todo API"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""

    @property
    def services(self) -> tuple[str, ...]:
        """The origins of WEB_PUSH_SERVICES."""
        return tuple(self.web_push_services.split(","))

    @property
    def countries(self) -> frozenset[str]:
        """The regions of SMS_COUNTRIES; none: all."""
        return frozenset(self.sms_countries.split(",")) if self.sms_countries else frozenset()

    @property
    def code_keys(self) -> tuple[bytes, ...]:
        """The keys behind the codes that prove a phone, the current one first; none where no SMS is sent."""
        return tuple(read_keys(self.phone_keys, size=KEY_SIZE).by_id.values()) if self.sms_account_sid else ()

    @property
    def phone_key(self) -> bytes | None:
        """The current one of them; None where no SMS is sent."""
        return next(iter(self.code_keys), None)

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        yield from self._wrong_push()
        yield from self._wrong_sms()

    def _wrong_push(self) -> Iterator[str]:
        if self.vapid_private_key and not is_key(self.vapid_private_key):
            yield "VAPID_PRIVATE_KEY must be a P-256 key of 32 bytes in base64url"
        if self.vapid_private_key and not self.vapid_contact.startswith(("mailto:", "https://")):
            yield "VAPID_CONTACT must be a mailto: or https: URL where VAPID_PRIVATE_KEY is set"
        if self.fcm_account and not is_account(self.fcm_account):
            yield "FCM_ACCOUNT must be the JSON of a service account's key file"

    def _wrong_sms(self) -> Iterator[str]:
        account = (self.sms_account_sid, self.sms_auth_token, self.sms_from)
        if any(account) and not all(account):
            yield "SMS_ACCOUNT_SID, SMS_AUTH_TOKEN and SMS_FROM go together"
        if not self.countries <= SUPPORTED_REGIONS:
            yield "SMS_COUNTRIES must be regions of ISO 3166 in capitals, separated by commas, as KR,US"
        if self.sms_account_sid or self.phone_keys:
            try:
                read_keys(self.phone_keys, size=KEY_SIZE)
            except ValueError as error:
                yield f"PHONE_KEYS {error}"

    @property
    def origins(self) -> list[str]:
        """The web origins of CORS_ORIGINS."""
        return [origin for origin in self.cors_origins.split(",") if origin]
