"""Ports of the loopback interface, all below 32768: from there up outgoing connections may take them."""

import random
import socket

from local.child import wait_until


def assert_free(port: int, purpose: str) -> None:
    """Raise StartError, saying what to do, where something listens on `port` already."""
    wait_until(
        lambda: is_free(port),
        within=1,  # what was killed a moment ago frees its port only now
        otherwise=lambda: (
            f"port {port} ({purpose}) is taken by another program; "
            "stop that one, or choose other ports with PORT_BASE=8200 ./run up"
        ),
    )


def free_port() -> int:
    """A port that nothing listens on now; chosen at random, so that test runs side by side do not meet."""
    return next(port for port in iter(lambda: random.randrange(10000, 32000), None) if is_free(port))  # noqa: S311


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
