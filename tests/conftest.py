"""One whole stack for the tests that leave it as they found it; a test that fails says what the services said last."""

from collections.abc import Iterator

import pytest

import system
from local.child import last_lines


@pytest.fixture(scope="session")
def world() -> Iterator[system.System]:
    with system.system() as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for stack in {each for each in item.funcargs.values() if isinstance(each, system.System)}:
            for log in sorted(stack.stack.layout.logs.glob("*.log")):
                report.sections.append((log.name, last_lines(log, 12)))
    return report
