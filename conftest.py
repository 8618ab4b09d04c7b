"""What every test folder shares: the fixtures of the local stack, and how much a test tries."""

import pytest

pytest_plugins = ["local.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full: the counts that take their time (`just test-long`) instead of the bounded ones."""
    parser.addoption("--full", action="store_true", help="full example counts")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to try as often as is promised, rather than as often as fits."""
    return bool(request.config.getoption("full"))
