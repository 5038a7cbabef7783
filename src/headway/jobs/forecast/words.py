"""What a curve says, in words. A number of records is rounded as far as it is known."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from headway.curves import COVERAGE, FARTHEST, FEWEST_SIZES, Band, Curve, Point, fit_curve
from headway.wording import score_text

TARGETS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)  # the first that is not reached yet is asked about, unless a person asks
GUESSWORK = 8  # times what was measured: beyond, a forecast is little more than a guess
SMALL_DEV = 100  # records, with fewer of which the choice of dev is most of a band
UNEVEN = 1.5  # times the rarest label: from here on, which label to add matters


class Asked(NamedTuple):
    """What a person wants to know. None: what is near at hand."""

    more: int | None = None  # records
    target: float | None = None  # score


class LabelForecast(NamedTuple):
    """What more labels of one class would do for it, if its score follows the number of its own labels."""

    labels: int
    score: float
    more: int
    gain: Band | None  # None where too few sizes were measured


def round_number(count: float) -> int:
    """The nearest of 1, 2 or 5 times a power of ten, as ratios go."""
    power = 10 ** math.floor(math.log10(max(count, 1)))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda near: abs(math.log(near / max(count, 1))))


def more_of(curve: Curve, asked: Asked) -> int:
    """The number of further records that is asked about."""
    return asked.more or round_number(curve.largest / 4)


def answers(curve: Curve, metric: str, asked: Asked) -> list[str]:
    """What more records bring, and how many a score needs."""
    return [_gain(curve, metric, more_of(curve, asked)), *_target(curve, asked.target)]


def _gain(curve: Curve, metric: str, more: int) -> str:
    gain, there = curve.gain(more), curve.at(curve.largest + more)
    said = f"{more:,} more: {_points(gain)} points of {metric}, to {_with_band(there)}"
    return said + _or_nothing(gain)


def _target(curve: Curve, target: float | None) -> Iterator[str]:
    now = curve.at(curve.largest)
    if target is None:
        target = next((target for target in TARGETS if target > now.value), None)
    if target is None:
        return
    needed, limit = curve.needed(target), curve.limit()
    if needed.value <= curve.largest:
        yield f"{score_text(target)} is reached: {_with_band(now)} with the {curve.largest:,} there are"
    elif math.isinf(needed.value):
        best = f"all that such records lead to is about {_with_band(limit)}"
        best = best if limit.value < target else f"it would take over {FARTHEST} times the {curve.largest:,} there are"
        luck = "" if math.isinf(needed.low) else f"; with luck {_count(needed.low - curve.largest)} more would do"
        yield f"{score_text(target)} is out of reach: {best}{luck}"
    else:
        low = _count(max(needed.low - curve.largest, 0))
        span = f"at least {low}" if math.isinf(needed.high) else f"{low} to {_count(needed.high - curve.largest)}"
        guess = "; a guess, so far beyond what was measured" if needed.value > GUESSWORK * curve.largest else ""
        yield f"{score_text(target)} needs about {_count(needed.value - curve.largest)} more ({span}){guess}"


def doubts(curve: Curve, *, dev: int) -> Iterator[str]:
    """What should keep a person from trusting the answers."""
    if curve.best_3[1] <= 0:
        yield "the score did not grow with the records: more of the same are not what is missing"
    if dev < SMALL_DEV:
        yield f"dev has {dev:,} records: most of what the bands leave open comes from there; a larger --dev narrows them"


def explained(curve: Curve) -> str:
    return (
        f"± and ranges hold with {COVERAGE:.0%}: over seeds, over the choice of dev, and over how curves stray from a power law; "
        f"nothing is said beyond {FARTHEST} times {curve.largest:,} records"
    )


# --- by class


def by_label(points: Sequence[dict[str, Point]], more: int) -> dict[str, LabelForecast]:
    """For each class, what its share of `more` labels would do for it if all were spread alike; the most gain first.

    Args:
        points: by class, of every subset and seed.
    """
    names = dict.fromkeys(name for of_subset in points for name in of_subset)
    each = max(round_number(more / max(len(names), 1)), 1)
    found = {}
    for name in names:
        of_label = [of_subset[name] for of_subset in points if name in of_subset]
        largest = max(point.size for point in of_label)
        now = [point.score for point in of_label if point.size == largest]
        enough = len({point.size for point in of_label}) >= FEWEST_SIZES
        gain = fit_curve(of_label).gain(each) if enough else None
        found[name] = LabelForecast(largest, sum(now) / len(now), each, gain)
    return dict(sorted(found.items(), key=lambda item: -(item[1].gain.value if item[1].gain else -1)))


def counts_differ(labels: dict[str, LabelForecast]) -> bool:
    """Whether some classes have many more labels than others."""
    counts = [of_label.labels for of_label in labels.values()]
    return len(counts) > 1 and max(counts) > UNEVEN * min(counts)


def wanted_most(labels: dict[str, LabelForecast], metric: str) -> str:
    """The class to label next."""
    name, best = next(iter(labels.items()))
    if best.gain is None:
        return "which class to label next cannot be told: none has labels enough for a curve of its own"
    gain = f'"{name}": {best.more:,} more of it bring its {metric} {_points(best.gain)} points{_or_nothing(best.gain)}'
    return f"{gain}; if that follows the number of its own labels ({best.labels:,} now)"


# --- numbers


def _with_band(known: Band) -> str:
    """.881 (.857–.903)"""
    return f"{score_text(known.value)} ({score_text(known.low)}–{score_text(known.high)})"


def _or_nothing(gain: Band) -> str:
    return "" if gain.low > 0 else "; it may be nothing"


def _points(gain: Band) -> str:
    """Hundredths with their margin: +1.2 ± 0.6."""
    return f"{gain.value * 100:+.1f} ± {gain.margin * 100:.1f}"


def _count(count: float) -> str:
    """Two digits, as more would be a lie."""
    digits = max(len(str(int(count))) - 2, 0)
    return f"{round(count, -digits):,.0f}"
