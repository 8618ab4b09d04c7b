"""Logs as JSON lines and metrics in Prometheus' names and units."""

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

# They log each request with its address, and an address may hold what is nobody else's to know.
_CALLERS = ("httpx", "httpcore", "google", "urllib3")

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)

APPENDED = Counter("todo_append_commands_total", "Commands by what append answered", ["feed", "outcome"])
APPEND_SECONDS = Histogram("todo_append_seconds", "One call of append, a group of commands", ["feed"], buckets=_FAST)
APPEND_GROUP = Histogram(
    "todo_append_group_commands", "Commands in a group", ["feed"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
WAITING = Gauge("todo_append_waiting_commands", "Commands waiting in front of the lane", ["feed"])

RELAYED = Counter("todo_relay_published_total", "Events that the stream acknowledged", ["feed"])
RELAY_REFUSALS = Counter("todo_relay_refusals_total", "Publishes that the stream refused or did not answer", ["feed"])
RELAY_BACKLOG = Gauge("todo_relay_backlog_events", "Events in the log and not yet in the stream", ["feed"])
RELAY_SKIPPED = Counter(
    "todo_relay_skipped_total", "Numbers purged from the stream because the log was trimmed", ["feed"]
)

HEARD = Counter("todo_consumer_heard_total", "Events applied", ["consumer", "feed"])
REOPENED = Counter(
    "todo_consumer_reopened_total", "Times a consumer asked the stream anew", ["consumer", "feed", "why"]
)
PARKED = Counter("todo_consumer_parked_total", "Events that could not be applied", ["consumer", "feed", "reason"])
PARKED_EVENTS = Gauge("todo_parked_events", "Events that are parked now", ["consumer", "feed"])
PARKED_STUCK = Gauge("todo_parked_stuck_keys", "Keys that flow again only when an operator acts", ["consumer", "feed"])
REDRIVEN = Counter("todo_consumer_redriven_total", "Parked events tried again", ["consumer", "feed", "outcome"])
UNVERIFIED = Counter(
    "todo_consumer_unverified_total", "Numbers passed over because the stream dropped them", ["consumer", "feed"]
)
LAG_EVENTS = Gauge("todo_consumer_lag_events", "Stream's last seq minus the checkpoint", ["consumer", "feed"])
LAG_SECONDS = Gauge("todo_consumer_lag_seconds", "Age of the oldest event not yet applied", ["consumer", "feed"])

ERASED_PEOPLE = Counter("todo_erased_people_total", "People of whom nothing is left in this service's database")
MESSAGES_DELETED = Counter("todo_messages_deleted_total", "Messages deleted because their events are erased", ["feed"])

TASKS = Gauge("todo_tasks", "Asyncio tasks of this process")

WORK_ROWS = Gauge("todo_work_rows", "Rows of a work table by state", ["table", "state"])
WORK_AGE = Gauge("todo_work_oldest_seconds", "Age of the oldest row that is due", ["table"])
WORK_DONE = Counter("todo_work_settled_total", "Rows settled, by outcome", ["table", "outcome"])


def configure_logging(service: str, level: str = "INFO") -> None:
    """One JSON object a line on stderr, from structlog and the standard library alike; no addresses that are called."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _CALLERS:
        logging.getLogger(name).setLevel(logging.WARNING)
