"""The claims as SVG: scores over labels, and over the seconds of training on all of them."""

from collections.abc import Sequence

from headway.drawing import BLUE, GREY, draw_file
from headway.jobs.claims.measure import Trained, of
from headway.jobs.claims.words import Claims

WIDE = (8.4, 3.6)  # inches


def draw(claims: Claims, points: Sequence[Trained], *, metric: str) -> str:
    """Fine-tuning in blue, from scratch in grey, with the interval of each score; dotted, what all labels give from scratch."""

    def on(by_labels, by_seconds) -> None:
        sides = (("fine-tuned", claims.fine_tuned, BLUE), ("from scratch", claims.from_scratch, GREY))
        for how, scores, colour in sides:
            values = [score.value for score in scores.values()]
            by_labels.fill_between(
                list(scores), [s.low for s in scores.values()], [s.high for s in scores.values()], color=colour, alpha=0.2, linewidth=0
            )
            by_labels.plot(list(scores), values, color=colour, marker="o", markersize=4, label=how)
            for point in of(points, how, 1):
                seconds, reached = zip(*point.curve, strict=True)
                by_seconds.plot(seconds, reached, color=colour, marker="o", markersize=3)
        for axes, along in ((by_labels, "labels"), (by_seconds, f"seconds of training on {claims.labels:,} labels")):
            axes.set_xscale("log", subs=(2, 5))
            axes.xaxis.set_major_formatter(lambda place, _: f"{place:,.0f}")
            axes.xaxis.set_minor_formatter(lambda place, _: f"{place:,.0f}" if place >= 1 else f"{place:g}")
            axes.tick_params(which="both", length=3, colors=GREY)
            axes.axhline(claims.from_scratch[claims.labels].value, color=GREY, linewidth=0.8, linestyle=":")
            axes.set_xlabel(along)
        by_labels.set_ylabel(metric)
        by_labels.legend(frameon=False, labelcolor=GREY)

    return draw_file(on, panels=2, size=WIDE)
