"""One whole stack for the tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

import system


@pytest.fixture(scope="session")
def world() -> Iterator[system.System]:
    with system.system() as started:
        yield started
