"""A learning curve as SVG, legible on white and on black: nothing behind it, and colours half-way between."""

import io
from collections.abc import Sequence

import numpy as np

from headway.curves import Curve, Point

GREY, BLUE = "#808080", "#3b8eea"
STYLE = {"svg.fonttype": "path", "svg.hashsalt": "headway", "font.size": 10, "text.color": GREY}
REACH = 3  # times the records there are, at most
PLACES = 100  # along the curve


def draw(curve: Curve, points: Sequence[Point], *, metric: str, target: float | None) -> str:
    """The points of all seeds, the curve through them and its band: full up to the records there are, dashed beyond."""
    from matplotlib import rc_context  # slow to import, and only forecasts draw
    from matplotlib.figure import Figure

    needed = curve.needed(target).value if target is not None else 2 * curve.largest
    end = curve.largest * min(max(1.2 * needed / curve.largest, 2), REACH)
    sizes = np.linspace(min(point.size for point in points), end, PLACES)
    bands = [curve.at(size) for size in sizes]
    measured = sizes <= curve.largest
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(sizes, [band.low for band in bands], [band.high for band in bands], color=BLUE, alpha=0.2, linewidth=0)
        values = np.array([band.value for band in bands])
        axes.plot(sizes[measured], values[measured], color=BLUE)
        axes.plot(sizes[~measured], values[~measured], color=BLUE, linestyle="--")
        axes.scatter([point.size for point in points], [point.score for point in points], s=16, color=GREY, zorder=3)
        axes.axvline(curve.largest, color=GREY, linewidth=0.8, linestyle=":")
        if target is not None:
            axes.axhline(target, color=GREY, linewidth=0.8, linestyle=":")
        dress(axes, "labelled records", metric)
        return to_svg(figure)


def to_svg(figure) -> str:
    """The same text for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def dress(axes, along: str, up: str) -> None:
    """What the axes are, in grey, with whole numbers and no frame."""
    axes.set_xlabel(along, color=GREY)
    axes.set_ylabel(up, color=GREY)
    axes.tick_params(colors=GREY)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    for name, spine in axes.spines.items():
        spine.set_color(GREY)
        spine.set_visible(name in ("left", "bottom"))
