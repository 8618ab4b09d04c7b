"""What each service reads from its environment."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from local.layout import Layout
from local.secret import Secrets

# Who holds which secret: nobody else gets to see it. What only sounds like one and is not named here reaches nobody.
_SECRETS = {
    "auth": ("KEY_WRAPPING_KEYS", "REFRESH_KEYS", "OTP_PEPPERS", "DEVICE_KEYS", "MAILER_PUBLIC_KEYS"),
    "activity": ("SEAL_KEYS",),
    "mailer": ("MAILER_PRIVATE_KEYS", "UNSUBSCRIBE_KEYS", "DKIM_KEY_FILE", "SMTP_PASSWORD"),
    "notifier": ("FCM_ACCOUNT", "VAPID_PRIVATE_KEY", "SMS_ACCOUNT_SID", "SMS_AUTH_TOKEN", "PHONE_KEYS"),
}
_OWN_KEY = "NATS_NKEY_SEED"
_SOUNDS_SECRET = re.compile("KEY|PEPPER|PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|PRIVATE|ACCOUNT")

# Where each service exports what it holds about a person; auth puts the parts together.
_EXPORTS = {
    "todos": "/todos/export",
    "activity": "/activity/export",
    "mailer": "/mail/export",
    "notifier": "/notifications/export",
}


def as_services_see_it(url: str, name: str, caller: Mapping[str, str] = os.environ) -> str:
    """A server's URL for services: with the port of SERVICES_<NAME>_PORT where a test put a wire of its own between."""
    port = caller.get(f"SERVICES_{name}_PORT")
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl() if port else url


def service_environment(
    service: str,
    layout: Layout,
    secrets: Secrets,
    urls: Mapping[str, str],
    caller: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The caller's environment, development defaults where it is silent, and what this stack decides.

    `urls` holds DATABASE_URL and NATS_URL. Secrets that are not this service's are taken out.
    """
    own = (*_SECRETS.get(service, ()), _OWN_KEY)
    defaults = {
        "APP_ENV": "development",
        "MAIL_TRANSPORT": "smtp" if caller.get("SMTP_SERVER") else "console",
        "MAIL_DIR": str(layout.mails),
        **{name: secrets.keys[name] for name in own if name in secrets.keys},
    }
    decided = {
        "HOST": "127.0.0.1",
        "PORT": str(layout.service_port(service)),
        "ISSUER": layout.gateway,
        "JWKS_URL": f"{layout.service_url('auth')}/.well-known/jwks.json",
        "EXPORT_URLS": ",".join(f"{name}={layout.service_url(name)}{path}" for name, path in _EXPORTS.items()),
        "SEAL_DIR": str(layout.seals),
        "PYTHONUNBUFFERED": "1",
        _OWN_KEY: secrets.nkeys[service],
        **urls,
    }
    everything = defaults | dict(caller) | decided
    return {name: value for name, value in everything.items() if name in own or not _SOUNDS_SECRET.search(name)}
