"""How ours compares with its peers as bars, in SVG: one picture that can be read on light and on dark ground."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import altair as alt
import vl_convert

from bench.figures import number
from bench.findings import Bar

_WIDTH: Final = 440
_INK: Final = "#777777"
"""As far from white as from black."""
_BAR: Final = "#3f83c4"
_GOAL: Final = "#d9822b"
_FONT: Final = "system-ui, sans-serif"
_TITLE: Final = "times the peer's rate (logarithmic; grey: least to greatest, orange: the goal)"


def drawn(bars: Sequence[Bar]) -> str:
    """The chart, a row of bars for each panel."""
    x = alt.X("median:Q", title=_TITLE, scale=alt.Scale(type="log", nice=False), axis=_decades())
    y = alt.Y("peer:N", title=None, sort=None)
    base = alt.Chart(alt.InlineData(values=[_row(bar) for bar in bars])).encode(y=y)
    goals = base.transform_filter("datum.goal != null")
    layers = alt.layer(
        base.mark_bar(height=12, color=_BAR).encode(x=x, x2=alt.datum(1)),
        base.mark_rule(strokeWidth=1.5, color=_INK).encode(x="least:Q", x2="greatest:Q"),
        goals.mark_tick(thickness=3, height=20, opacity=1, color=_GOAL).encode(x="goal:Q"),
        base.mark_text(align="left", dx=8, color=_INK, font=_FONT).encode(x=alt.value(_WIDTH), text="told:N"),
    )
    header = alt.Header(
        labelOrient="top",
        labelAnchor="start",
        labelColor=_INK,
        labelFont=_FONT,
        labelFontSize=13,
        labelFontWeight="bold",
    )
    panels = alt.Row("panel:N", title=None, sort=None, header=header)
    chart = _styled(layers.properties(width=_WIDTH, height=alt.Step(22)).facet(row=panels))
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return svg


def _row(bar: Bar) -> dict[str, Any]:
    middle = median(bar.values)
    figures = {"least": min(bar.values), "median": middle, "greatest": max(bar.values), "goal": bar.goal}
    return {"panel": bar.panel, "peer": bar.peer, "told": number(middle), **figures}


def _decades() -> alt.Axis:
    return alt.Axis(values=[base * 10.0**power for power in range(-2, 5) for base in (1, 2, 4)], format=",~g")


def _styled(chart: Any) -> Any:
    axis = alt.AxisConfig(
        labelColor=_INK, titleColor=_INK, domainColor=_INK, tickColor=_INK, gridColor=f"{_INK}40",
        labelFont=_FONT, titleFont=_FONT, labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=200,
    )  # fmt: skip
    return chart.configure(axis=axis, background="transparent", view=alt.ViewConfig(stroke=None))
