"""Those who look from time to time wake together: at a beat, at most 10 ms after the time they said, never at once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.beat import BEAT, beat


class _Stopped(asyncio.SelectorEventLoop):
    """A loop at one moment."""

    moment = 0.0

    def time(self) -> float:
        return self.moment


async def _beat(seconds: float) -> float:
    return beat(seconds)


def beat_at(moment: float, seconds: float) -> float:
    with asyncio.Runner(loop_factory=_Stopped) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, _Stopped)
        loop.moment = moment
        return runner.run(_beat(seconds))


@pytest.mark.parametrize(
    ("moment", "seconds", "wait"),
    [
        (100.0, 1.0, 1.0),
        (100.003, 1.0, 0.997),  # what was done at the beat took its time
        (99.9995, 1.0, 1.0005),  # a loop woke a moment early
        (100.2, 1.0, 0.8),
        (100.2, 5.0, 4.8),
    ],
)
def test_it_ends_with_the_last_beat_that_is_not_too_late(moment: float, seconds: float, wait: float) -> None:
    assert beat_at(moment, seconds) == pytest.approx(wait)


@pytest.mark.parametrize("moment", [100.0, 100.2, 100.249])
def test_what_is_shorter_than_a_beat_stays_as_it_is(moment: float) -> None:
    assert beat_at(moment, 0.1) == 0.1


@given(moment=st.floats(0, 1e7), seconds=st.sampled_from((0.25, 1.0, 2.0, 5.0, 60.0)))
def test_whenever_somebody_waits_it_is_a_beat_that_ends_it(moment: float, seconds: float) -> None:
    wait = beat_at(moment, seconds)
    assert seconds - BEAT < wait < seconds + 0.011
    beats = (moment + wait) / BEAT
    assert beats == pytest.approx(round(beats), abs=1e-6)
    assert wait > 0
