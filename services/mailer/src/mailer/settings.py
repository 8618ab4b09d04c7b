"""What this service reads from its environment."""

from collections.abc import Iterator
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from events.backing import UsesServers
from events.keys import Keys, read_keys

KEY_SIZE: Final = 32
IMPLICIT_TLS_PORT: Final = 465


class Settings(UsesServers, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals; one without a default is required.

    - APP_ENV: development or production
    - DATABASE_URL, NATS_URL: PostgreSQL as the runtime role, NATS as this service's user
    - NATS_NKEY_SEED, NATS_CA_FILE, ALLOW_PLAINTEXT: how it proves itself, and who may read along: `events.backing`
    - HOST, PORT: where health and metrics are served
    - JWKS_URL, ISSUER, AUDIENCE: whose access tokens are accepted; below ISSUER are the links in letters
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    - CLOCK_FILE: in development, a file with seconds to add to the clock
    - PRODUCT_NAME: in whose name letters are written
    - MAILER_PRIVATE_KEYS: X25519 keys that open seals, `kid:base64url` separated by commas
    - UNSUBSCRIBE_KEYS: keys behind the links that stop letters, `kid:base64url` the first is current
    - ENABLE_NOTIFICATIONS, ENABLE_EMAIL_NOTIFICATIONS: false stops every letter but codes
    - FROM_EMAIL: the address that letters come from; required in production
    - MAIL_TRANSPORT: console or smtp; by default console in development and smtp in production, which refuses console
    - MAIL_DIR: in development, a folder that keeps a copy of every mail
    - SMTP_SERVER, SMTP_PORT: the mail server; port 465 speaks TLS from the first byte, others upgrade by STARTTLS
    - SMTP_USERNAME, SMTP_PASSWORD: its credentials, if it wants any
    - SMTP_STARTTLS: false posts in clear text, without credentials: for a relay on a trusted network alone
    - SMTP_CONNECTIONS: how many letters are posted to it at once, by each process
    - DKIM_KEY_FILE, DKIM_SELECTOR: an RSA private key (PEM) that signs letters, and its name in the sender's domain
    - SMTP_CA_FILE: certificate authorities to trust instead of the system's (PEM)
    """

    host: str = "127.0.0.1"
    port: int = 8086
    jwks_url: str
    issuer: str
    audience: str = "todo"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: str = ""
    product_name: str = "Todo API"
    mailer_private_keys: str
    unsubscribe_keys: str
    enable_notifications: bool = True
    enable_email_notifications: bool = True
    from_email: str = ""
    mail_transport: Literal["console", "smtp", ""] = ""
    mail_dir: str = ""
    smtp_server: str = ""
    smtp_port: int = 587
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_starttls: bool = True
    smtp_ca_file: str = ""
    smtp_connections: Annotated[int, Meta(ge=1, le=64)] = 4
    dkim_key_file: str = ""
    dkim_selector: str = ""

    @property
    def is_development(self) -> bool:
        """Whether this runs on a developer's machine."""
        return self.app_env == "development"

    @property
    def transport(self) -> Literal["console", "smtp"]:
        """The transport in effect."""
        return self.mail_transport or ("console" if self.is_development else "smtp")

    @property
    def sender(self) -> str:
        """The address that letters come from."""
        return self.from_email or "noreply@todo.localhost"

    @property
    def keys(self) -> Keys:
        """The keys that open seals."""
        return read_keys(self.mailer_private_keys, size=KEY_SIZE)

    @property
    def link_keys(self) -> Keys:
        """The keys behind links."""
        return read_keys(self.unsubscribe_keys, size=KEY_SIZE)

    @property
    def notifies(self) -> bool:
        """Whether letters other than codes are sent."""
        return self.enable_notifications and self.enable_email_notifications

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        yield from self._wrong_mail()
        yield from self._wrong_smtp()

    def _wrong_mail(self) -> Iterator[str]:
        for name, text in (
            ("MAILER_PRIVATE_KEYS", self.mailer_private_keys),
            ("UNSUBSCRIBE_KEYS", self.unsubscribe_keys),
        ):
            try:
                read_keys(text, size=KEY_SIZE)
            except ValueError as error:
                yield f"{name} {error}"
        try:
            Address(self.product_name, addr_spec=self.sender)
            self.sender.encode("ascii")
            makes_a_sender = self.product_name.isprintable()
        except (ValueError, HeaderParseError, IndexError):
            makes_a_sender = False
        if not makes_a_sender:
            yield "FROM_EMAIL and PRODUCT_NAME must make a sender, an address in ASCII and one line"
        if self.transport == "console" and not self.is_development:
            yield "MAIL_TRANSPORT: console prints codes and is for development alone; use smtp"
        if not self.from_email and not self.is_development:
            yield "FROM_EMAIL is required in production"

    def _wrong_smtp(self) -> Iterator[str]:
        if self.transport == "smtp" and not self.smtp_server:
            yield "SMTP_SERVER is required for MAIL_TRANSPORT=smtp"
        if self.smtp_username and not (self.smtp_starttls or self.smtp_port == IMPLICIT_TLS_PORT):
            yield "SMTP_STARTTLS: credentials never go over clear text; leave it on, or SMTP_USERNAME empty"
        if self.smtp_ca_file and not Path(self.smtp_ca_file).is_file():
            yield "SMTP_CA_FILE is no file"
        if bool(self.dkim_key_file) != bool(self.dkim_selector):
            yield "DKIM_KEY_FILE and DKIM_SELECTOR go together"
        if self.dkim_key_file and not Path(self.dkim_key_file).is_file():
            yield "DKIM_KEY_FILE is no file"
