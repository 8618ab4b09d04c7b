"""What every test folder shares: the fixtures of the local stack, and how much a test tries."""

import gc

import pytest

pytest_plugins = ["local.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full: the counts that take their time (`just test-long`) instead of the bounded ones."""
    parser.addoption("--full", action="store_true", help="full example counts")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, a file's tests stay together, and so do all that share the whole stack: one is started then."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        shares = item.path.parent == config.rootpath / "tests" and "world" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("the stack" if shares else item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """What was collected stays: no collection of garbage need go through all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to try as often as is promised, rather than as often as fits."""
    return bool(request.config.getoption("full"))
