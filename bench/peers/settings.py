"""What a peer is told by whoever starts it, as environment variables."""

import os
from typing import Final

DATABASE: Final = os.environ.get("DATABASE_URL", "").removeprefix("postgres://")
"""Without its scheme: each driver has another."""
DATABASE_CONNECTIONS: Final = 32
WRITES_AT_ONCE: Final = 16
"""Activity rows that a worker writes at the same time."""
FETCHED_AT_ONCE: Final = 100
FETCHED_WITHIN: Final = 0.1
"""Seconds. nats-py hands over what it has when there is as much, or after these: by default 5, or never."""
NATS: Final = os.environ.get("NATS_URL", "")
STREAM: Final = os.environ.get("STREAM", "")
"""The peer's own; its subjects begin so, too."""
REDIS: Final = os.environ.get("REDIS_URL", "")
SMTP_HOST: Final = "127.0.0.1"
SMTP_PORT: Final = int(os.environ.get("SMTP_PORT", "25"))
SMTP_CONNECTIONS: Final = int(os.environ.get("SMTP_CONNECTIONS", "4"))
JWT_SECRET: Final = os.environ.get("JWT_SECRET", "")
CODE_MINUTES: Final = 5
