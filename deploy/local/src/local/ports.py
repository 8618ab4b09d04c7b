"""Ports of the loopback interface, all below 32768: from there up outgoing connections may take them."""

import atexit
import random
import socket

from local.child import wait_until

_BLOCK = 20  # what one stack takes from its PORT_BASE on


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
    """The first of twenty neighbouring ports that nothing listens on; no other run of tests is given any of them."""
    return next(base for base in iter(_any_block, None) if _claimed(base) and all(map(is_free, _block(base))))


def _any_block() -> int:
    return random.randrange(10000, 32000, _BLOCK)  # noqa: S311


def _block(base: int) -> range:
    return range(base, base + _BLOCK)


def _claimed(base: int) -> bool:
    """Claim a block until this process ends, by a UDP socket: one process can hold it, no TCP server is in its way."""
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", base))
    except OSError:
        claim.close()
        return False
    atexit.register(claim.close)
    return True


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
