"""A learning curve as SVG."""

from collections.abc import Sequence

import numpy as np

from headway.curves import Curve, Point
from headway.drawing import BLUE, GREY, draw_file

REACH = 3  # times the records there are, at most
PLACES = 100  # along the curve


def draw(curve: Curve, points: Sequence[Point], *, metric: str, target: float | None) -> str:
    """The points of all seeds, the curve through them and its band: full up to the records there are, dashed beyond."""
    needed = curve.needed(target).value if target is not None else 2 * curve.largest
    end = curve.largest * min(max(1.2 * needed / curve.largest, 2), REACH)
    sizes = np.linspace(min(point.size for point in points), end, PLACES)
    bands = [curve.at(size) for size in sizes]
    measured = sizes <= curve.largest

    def on(axes) -> None:
        axes.fill_between(sizes, [band.low for band in bands], [band.high for band in bands], color=BLUE, alpha=0.2, linewidth=0)
        values = np.array([band.value for band in bands])
        axes.plot(sizes[measured], values[measured], color=BLUE)
        axes.plot(sizes[~measured], values[~measured], color=BLUE, linestyle="--")
        axes.scatter([point.size for point in points], [point.score for point in points], s=16, color=GREY, zorder=3)
        axes.axvline(curve.largest, color=GREY, linewidth=0.8, linestyle=":")
        if target is not None:
            axes.axhline(target, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_xlabel("labelled records")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")

    return draw_file(on)
