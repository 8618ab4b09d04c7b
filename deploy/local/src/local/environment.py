"""What each service reads from its environment."""

import os
from collections.abc import Mapping

from local.layout import Layout
from local.secret import Secrets

# Who holds which key: nobody else gets to see it.
_KEYS = {
    "auth": ("SIGNING_KEYS", "REFRESH_KEYS", "OTP_PEPPERS", "DEVICE_KEYS", "MAILER_PUBLIC_KEYS"),
    "mailer": ("MAILER_PRIVATE_KEYS",),
}


def service_environment(
    service: str,
    layout: Layout,
    secrets: Secrets,
    urls: Mapping[str, str],
    caller: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The caller's environment, development defaults where it is silent, and what this stack decides.

    `urls` holds DATABASE_URL and NATS_URL. Keys of other services are taken out.
    """
    defaults = {
        "APP_ENV": "development",
        "MAIL_TRANSPORT": "smtp" if caller.get("SMTP_SERVER") else "console",
        **{name: secrets.keys[name] for name in _KEYS.get(service, ())},
    }
    decided = {
        "HOST": "127.0.0.1",
        "PORT": str(layout.service_port(service)),
        "ISSUER": layout.gateway,
        "JWKS_URL": f"{layout.service_url('auth')}/.well-known/jwks.json",
        "MAIL_DIR": str(layout.mails),
        "PYTHONUNBUFFERED": "1",
        **urls,
    }
    foreign = {name for names in _KEYS.values() for name in names} - set(_KEYS.get(service, ()))
    return {name: value for name, value in (defaults | dict(caller) | decided).items() if name not in foreign}
