"""The drawings of a report. Each is (what it shows, the SVG), or None where there is nothing to draw."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from headway.drawing import BLUE, GREY, draw_inline
from headway.jobs.report.evidence import Evidence
from headway.wording import metric_text, score_text

POINTS = 200  # along a line; more cannot be seen
DOTS = 1000  # of a scatter


class Figure(NamedTuple):
    title: str
    says: str  # what there is to see, in words
    svg: str


def training(evidence: Evidence) -> list[Figure]:
    """How training went."""
    found = [_loss(evidence), _dev_score(evidence), _rate(evidence), _speed(evidence)]
    return [figure for figure in found if figure is not None]


def _figure(name: str, title: str, says: str, draw: Callable) -> Figure:
    return Figure(title, says, draw_inline(draw, name=name, says=f"{title}: {says}"))


def _loss(evidence: Evidence) -> Figure | None:
    if len(evidence.steps) < 2:
        return None
    steps, losses = _column(evidence, "step"), _column(evidence, "loss")
    width = max(len(losses) // 20, 1)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")

    def draw(axes) -> None:
        axes.plot(*_thinned(steps, losses), color=GREY, linewidth=0.6, alpha=0.6)
        axes.plot(*_thinned(steps[width - 1 :], smooth), color=BLUE, linewidth=1.6)
        axes.set_ylim(bottom=0)
        _count(axes, "update")

    says = f"from {smooth[0]:.2g} to {smooth[-1]:.2g} in {len(losses):,} updates"
    return _figure("loss", "Loss", says, draw)


def _dev_score(evidence: Evidence) -> Figure | None:
    rows = [row for row in evidence.evaluations if np.isfinite(row["value"])]
    if len(rows) < 2:  # one dot is no curve: it is said in words
        return None
    best = max((row for row in rows if row["best"]), key=lambda row: row["step"], default=rows[-1])

    def draw(axes) -> None:
        axes.plot([row["step"] for row in rows], [row["value"] for row in rows], color=BLUE, marker="o", markersize=3.5, linewidth=1.4)
        axes.plot([best["step"]], [best["value"]], color=BLUE, marker="o", markersize=8, markerfacecolor="none")
        axes.set_xlim(left=0)
        axes.margins(y=0.25)
        bottom, top = axes.get_ylim()
        if all(0 <= row["value"] <= 1 for row in rows):  # no room where no score can be, but for the dots
            axes.set_ylim(max(bottom, -0.02), min(top, 1.02))
            axes.set_yticks([tick for tick in axes.get_yticks() if max(bottom, 0) <= tick <= min(top, 1)])
        _count(axes, "update")

    says = f"best {score_text(best['value'])} after {best['step']:,} of {rows[-1]['step']:,} updates; this is the model that was kept"
    return _figure("dev", f"Dev {metric_text(best['metric'])}", says, draw)


def _rate(evidence: Evidence) -> Figure | None:
    if len(evidence.steps) < 2:
        return None
    steps, rates = _column(evidence, "step"), _column(evidence, "learning_rate")

    def draw(axes) -> None:
        axes.plot(*_thinned(steps, rates), color=BLUE, linewidth=1.4)
        axes.set_ylim(bottom=0)
        _count(axes, "update")
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:.1e}".replace("e-0", "e-").replace(".0e", "e") if rate else "0")

    return _figure("rate", "Learning rate", f"at most {rates.max():.2g}", draw)


def _speed(evidence: Evidence) -> Figure | None:
    if len(evidence.steps) < 2:
        return None
    steps, tokens, seconds = (_column(evidence, name) for name in ("step", "tokens", "seconds"))
    parts = min(len(steps), 40)
    edges = np.linspace(0, len(steps), parts + 1).astype(int)
    pace = [tokens[a:b].sum() / max(seconds[a:b].sum(), 1e-9) for a, b in pairwise(edges)]

    def draw(axes) -> None:
        axes.step([steps[b - 1] for b in edges[1:]], pace, color=BLUE, linewidth=1.4, where="mid")
        axes.set_ylim(bottom=0)
        _count(axes, "update")
        axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")

    says = f"{tokens.sum() / max(seconds.sum(), 1e-9):,.0f} in the mean; {tokens.sum():,.0f} tokens in {seconds.sum():,.0f} seconds"
    return _figure("speed", "Tokens a second", says, draw)


def _count(axes, what: str) -> None:
    """Along x stand whole numbers."""
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(what)


def lengths(evidence: Evidence) -> Figure | None:
    found = evidence.data.get("lengths")
    if not found:
        return None
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]

    def draw(axes) -> None:
        axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.92, align="edge", color=BLUE, alpha=0.7)
        _count(axes, "tokens")
        axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")

    several = found["in_several_windows"]
    says = f"median {found['median']:,} tokens, 99% up to {found['99%']:,}"
    says += f"; {several:,} texts are read in several windows" if several else "; each is read whole"
    return _figure("lengths", "How long the texts are", says, draw)


def calibration(evidence: Evidence) -> Figure | None:
    found = evidence.of_part("reliability")
    if not found:
        return None
    said, right, count = (np.array([of_bin[name] for of_bin in found]) for name in ("said", "right", "count"))
    off = float((np.abs(said - right) * count).sum() / count.sum())

    def draw(axes) -> None:
        low, high = max(min(said.min(), right.min()) - 0.05, 0), min(max(said.max(), right.max()) + 0.05, 1)
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle=":")
        axes.plot(said, right, color=BLUE, marker="o", markersize=4, linewidth=1.4)
        axes.locator_params(nbins=5)
        axes.set_xlabel("how sure it says it is")
        axes.set_ylabel("how often it is right")

    sides = "surer than it should be" if float(((said - right) * count).sum()) > 0 else "less sure than it could be"
    says = f"off by {100 * off:.1f} points in the mean, {sides}" if off >= 0.005 else "it is right as often as it says"
    return _figure("calibration", "Calibration", says, draw)


def coverage(evidence: Evidence) -> Figure | None:
    curve = evidence.of_part("coverage").get("curve")
    if not curve or len(curve["coverage"]) < 2:
        return None
    shares, precision = np.array(curve["coverage"]), np.array(curve["precision"])

    def draw(axes) -> None:
        axes.plot(*_thinned(shares, precision), color=BLUE, linewidth=1.6)
        axes.set_xlabel("share that is answered, the surest first")
        axes.set_ylabel("share of these that is right")
        axes.set_xlim(0, 1)

    half = float(np.interp(0.5, shares, precision))
    says = f"of the surer half {half:.1%} is right, of all {precision[-1]:.1%}"
    return _figure("coverage", "What it could leave to a person", says, draw)


def numbers(gold: Sequence[float], said: Sequence[float]) -> Figure:
    """What people say against what the model says, of numbers."""
    places = np.linspace(0, len(gold) - 1, min(len(gold), DOTS)).astype(int)
    gold_N, said_N = np.asarray(gold)[places], np.asarray(said)[places]

    def draw(axes) -> None:
        ends = [min(gold_N.min(), said_N.min()), max(gold_N.max(), said_N.max())]
        axes.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":")
        axes.scatter(gold_N, said_N, s=16, color=BLUE, alpha=0.5, linewidths=0)
        axes.set_xlabel("labelled")
        axes.set_ylabel("predicted")

    off = float(np.mean(np.abs(np.asarray(gold) - np.asarray(said))))
    return _figure("numbers", "Predicted and labelled", f"{off:.2f} apart in the mean; on the dotted line they agree", draw)


def _column(evidence: Evidence, name: str) -> np.ndarray:
    return np.array([row[name] for row in evidence.steps], dtype=np.float64)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbours, at most `POINTS` of them; the last point stays."""
    if len(x) <= POINTS:
        return x, y
    edges = np.linspace(0, len(x), POINTS + 1).astype(int)
    pairs = list(pairwise(edges))
    return np.array([x[b - 1] for _, b in pairs]), np.array([y[a:b].mean() for a, b in pairs])
