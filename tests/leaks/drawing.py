"""The samples as a picture: a panel each for memory, files, tasks and connections."""

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import msgspec

from leaks.samples import HELD, Sample


def draw(samples: Sequence[Sample], restarts: Sequence[tuple[float, str]], out: Path) -> None:
    """Write a picture (SVG) of what was held, minute by minute; a dashed line where something was killed."""
    marks = [{"minute": minute} for minute, _ in restarts]
    panels = []
    for held in HELD:
        values = [msgspec.to_builtins(each) for each in samples if each.held == held.name]
        lines = (
            alt.Chart(alt.Data(values=values))
            .mark_line(interpolate="step-after")
            .encode(
                x=alt.X("minute:Q", title="minutes"),
                y=alt.Y("value:Q", title=held.name, scale=alt.Scale(zero=True)),
                color=alt.Color("service:N", title=None),
            )
        )
        killed = alt.Chart(alt.Data(values=marks)).mark_rule(strokeDash=[2, 4], opacity=0.4).encode(x="minute:Q")
        panels.append((lines + killed).properties(width=420, height=200))
    alt.concat(*panels, columns=2).save(out)
