"""A point in time as events carry it."""

from datetime import datetime
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""Always with its offset from UTC (RFC 3339): a local time means a different moment to each reader."""
