"""Health: everything is asked at each look; only what failed makes a process unready."""

import pytest

from events.health import Check, Health, State


@pytest.mark.parametrize(("states", "ready"), [((), True), (("ok", "late"), True), (("ok", "failed", "late"), False)])
def test_ready_means_that_nothing_failed(states: tuple[State, ...], ready: bool) -> None:
    assert Health.is_ready(Check(f"part {nr}", state) for nr, state in enumerate(states)) is ready


def test_every_source_is_asked_at_each_look_in_order() -> None:
    health = Health()
    state: list[State] = ["ok"]
    health.add(lambda: Check("relay", state[0]), lambda: Check("log", "ok"))
    assert [check.state for check in health.checks()] == ["ok", "ok"]
    state[0] = "late"
    assert health.checks() == [Check("relay", "late"), Check("log", "ok")]
