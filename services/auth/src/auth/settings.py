"""What this service reads from its environment."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from msgspec import Meta

from auth.limits import Limits, Network, Rule
from events.backing import UsesServers
from events.keys import read_keys
from events.settings import urls_of

HOUR, DAY = 3600, 86400
KEY_SIZE = 32

AtLeast0 = Annotated[int, Meta(ge=0)]
AtLeast1 = Annotated[int, Meta(ge=1)]


class Settings(UsesServers, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production; in development codes are answered, and nothing limits how often they are asked
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - NATS_NKEY_SEED, NATS_CA_FILE, ALLOW_PLAINTEXT: how it proves itself, and who may read along: `events.backing`
    - HOST, PORT: where HTTP is served; TRUSTED_PROXIES: whose X-Forwarded-For is believed (networks, by commas)
    - ISSUER, AUDIENCE: what access tokens carry; ISSUER is the public address of the API
    - KEY_WRAPPING_KEYS (hide the signing keys in the database), REFRESH_KEYS, OTP_PEPPERS, DEVICE_KEYS,
      MAILER_PUBLIC_KEYS (X25519): lists of `kid:base64url` of 32 bytes each, the first is current
    - OTP_LENGTH: digits of a code; OTP_EXPIRATION_MINUTES: how long it lives; OTP_GUESSES: wrong ones that kill it
    - OTP_RESEND_SECONDS, OTP_PER_HOUR, OTP_PER_DAY: limits on codes for an address or a known device (0: none)
    - OTP_PER_IP_PER_HOUR, GUESSES_PER_IP_PER_HOUR: limits for an IPv4 address or an IPv6 /64 (0: none)
    - LOCK_AFTER, LOCK_MINUTES: wrong guesses in a row that lock an address for unknown devices, and for how long
    - SESSION_DAYS: how long a session lives without a refresh
    - EXPORT_URLS: where the other services export a person's data, `name=url` by commas; without, nothing is exported
    - CORS_ORIGINS: web origins that may call, separated by commas
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    """

    host: str = "127.0.0.1"
    port: int = 8084
    trusted_proxies: str = "127.0.0.0/8,::1/128"
    issuer: str
    audience: str = "todo"
    key_wrapping_keys: str
    refresh_keys: str
    otp_peppers: str
    device_keys: str
    mailer_public_keys: str
    otp_length: Annotated[int, Meta(ge=6, le=12)] = 6
    otp_expiration_minutes: Annotated[int, Meta(ge=1, le=10)] = 5
    otp_guesses: Annotated[int, Meta(ge=1, le=10)] = 5
    otp_resend_seconds: AtLeast0 | None = None
    otp_per_hour: AtLeast0 | None = None
    otp_per_day: AtLeast0 | None = None
    otp_per_ip_per_hour: AtLeast0 | None = None
    guesses_per_ip_per_hour: AtLeast0 | None = None
    lock_after: Annotated[int, Meta(ge=10)] = 100
    lock_minutes: AtLeast1 = 60
    session_days: AtLeast1 = 30
    export_urls: str = ""
    cors_origins: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        keys = ("key_wrapping_keys", "refresh_keys", "otp_peppers", "device_keys", "mailer_public_keys")
        checks: list[tuple[str, Callable[[str], Any]]] = [(name, _keys) for name in keys]
        checks += [("trusted_proxies", _networks), ("export_urls", urls_of)]
        faults = (_fault(name, check, getattr(self, name)) for name, check in checks)
        yield from (fault for fault in faults if fault)

    @property
    def is_development(self) -> bool:
        """Whether this is a developer's machine."""
        return self.app_env == "development"

    @property
    def limits(self) -> Limits:
        """The limits that are set, else production's or development's defaults."""
        resend = self._limit(self.otp_resend_seconds, 60)
        return Limits(
            resend=Rule(1 if resend else 0, resend),
            per_hour=Rule(self._limit(self.otp_per_hour, 10), HOUR),
            per_day=Rule(self._limit(self.otp_per_day, 30), DAY),
            asks_per_network=Rule(self._limit(self.otp_per_ip_per_hour, 100), HOUR),
            guesses_per_network=Rule(self._limit(self.guesses_per_ip_per_hour, 300), HOUR),
            guesses=self.otp_guesses,
            lock_after=self.lock_after,
            lock_for=timedelta(minutes=self.lock_minutes),
            trusted_proxies=_networks(self.trusted_proxies),
        )

    def _limit(self, value: int | None, production: int) -> int:
        if value is not None:
            return value
        return 0 if self.is_development else production


def _networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas; raises `ValueError`."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _keys(text: str) -> object:
    return read_keys(text, size=KEY_SIZE)


def _fault(name: str, check: Callable[[str], object], value: str) -> str | None:
    try:
        check(value)
    except ValueError as error:
        return f"{name.upper()} {error}"
    return None
