"""How sure a score is: 95% intervals by the bootstrap.

What is drawn again, with replacement, is a unit (`Record.unit`): all records of one group (a document, the questions about one article),
all questions about one text, or a record by itself; records of a unit resemble each other, and as single records they would make a
score look surer than it is.

The replicates give the variance of a score, and Wilson's formula the interval: with the variance of a share p of n, p(1 - p) / n,
solved for n, the effective number of records. For an accuracy of single records that is Wilson's interval, but for the chance of drawing.
It stays inside 0 to 1, is as skewed as it ought to be near them, and where nothing at all is wrong, and every replicate says the same,
it still knows how few records that was learned from. Where the replicates are off from the score in the mean, as those of a mean over
rare classes are, the score is likely to be off from the truth by as much, and the interval reaches that much further.

Two scores need more. A calibration error is a sum of distances and no share: around it and its correction stands Student's interval. And of
a label of which nothing is right all replicates say 0, though a few records show little: the mean over labels then reaches up at least as
far as the intervals of the labels by themselves make likely.

The percentiles of the replicates, and BCa, hold less often: benchmarks/intervals.md has the numbers.

Sources: Efron and Tibshirani 1993, An Introduction to the Bootstrap; Wilson 1927, Probable Inference, JASA 22; Korn and Graubard 1998,
Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data (effective n, Student's t);
Zou and Donner 2008, Construction of Confidence Limits about Effect Measures, Statistics in Medicine 27 (a sum, from its parts' limits).

Shape letters: N records, U units, B replicates.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from headway.metrics.scores import COUNTS, Key, Scores, Weigh

LEVEL = 0.95
REPLICATES = 1000
CELLS = 2**20  # of a matrix of weights: 8 MB, so that memory does not grow with the records
ERRORS = frozenset({"mae", "rmse"})  # in units of the gold
_RANGES = dict.fromkeys(("mcc", "pearson", "spearman"), (-1.0, 1.0)) | dict.fromkeys(ERRORS, (0.0, math.inf))  # all else is a share
ROUNDING = 1e-12  # of the largest variance there is: replicates that differ by less are all the same
DISTANCES = frozenset({"ece"})  # means of how far something is off
MACRO = "macro_f1"
OVER_LABELS = frozenset({MACRO, "mcc", "average_precision"})  # one record of a rare class moves them more than its share


def bounds_of(metric: str) -> tuple[float, float]:
    """The least and the most that a metric can be."""
    return _RANGES.get(metric, (0.0, 1.0))


def with_intervals(scores: Scores, groups: Iterable[str], *, replicates: int = REPLICATES, seed: int = 1) -> Scores:
    """The same scores with an interval for each; `groups` names the unit of every record, "" for one by itself."""
    unit_N = units(groups)
    drawn = replicated(scores.weigh, unit_N, replicates=replicates, seed=seed)
    once = {key: float(values_B[0]) for key, values_B in scores.weigh(np.ones((len(unit_N), 1))).items()}
    seen = units_seen(scores, once, unit_N)
    known = [key for key, value in once.items() if key[1] not in COUNTS and not np.isnan(value)]
    found = {key: interval(key[1], once[key], drawn[key], units=seen[key]) for key in known}
    return replace(scores, intervals=found | _reaching_up(once, found))


def _reaching_up(once: Mapping[Key, float], intervals: Mapping[Key, tuple[float, float]]) -> dict[Key, tuple[float, float]]:
    """The interval of macro F1, where a label has an F1 of 0."""
    key, each = (None, MACRO), [name for name in intervals if name[0] is not None and name[1] == "f1"]
    if key not in intervals or all(once[name] > 0 for name in each):
        return {}
    low, high = intervals[key]
    reach = math.sqrt(sum((intervals[name][1] - once[name]) ** 2 for name in each)) / len(each)
    return {key: (low, max(high, min(once[key] + reach, 1.0)))}


def units_seen(scores: Scores, keys: Iterable[Key], unit_N: np.ndarray) -> dict[Key, int]:
    """How many units each score looks at; of a mean over labels, as many as make up for how few have the rare ones."""
    seen = {key: len(np.unique(unit_N[records])) for key, records in scores.about.items()}
    every = int(unit_N.max()) + 1
    over_labels = _over_labels([count for (label, metric), count in seen.items() if label is not None and metric == "f1"], every)
    rest = {key: over_labels if key[0] is None and key[1] in OVER_LABELS else every for key in keys}
    return rest | {key: max(count, 1) for key, count in seen.items()}


def units(groups: Iterable[str]) -> np.ndarray:
    """unit_N: the number of the unit each record is of, from 0."""
    names = [(group, 0) if group else ("", place) for place, group in enumerate(groups, start=1)]
    number = {name: position for position, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names])


def draws(unit_N: np.ndarray, *, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """weights_NB, a few replicates at a time: how often each record was drawn, with its unit. The same for the same seed."""
    every = int(unit_N.max()) + 1
    alone = every == len(unit_N) and bool((unit_N == np.arange(every)).all())
    generator = np.random.default_rng(seed)
    for start in range(0, replicates, step := max(CELLS // len(unit_N), 1)):
        count = min(step, replicates - start)
        drawn_BU = generator.integers(every, size=(count, every)) + np.arange(count)[:, None] * every
        weights_UB = np.bincount(drawn_BU.ravel(), minlength=count * every).reshape(count, every).T.astype(np.float64)
        yield np.ascontiguousarray(weights_UB) if alone else weights_UB[unit_N]


def replicated(weigh: Weigh, unit_N: np.ndarray, *, replicates: int = REPLICATES, seed: int = 1) -> dict[Key, np.ndarray]:
    """values_B of every score; not a number where a replicate holds nothing to judge it by."""
    parts = [weigh(weights_NB) for weights_NB in draws(unit_N, replicates=replicates, seed=seed)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def interval(metric: str, value: float, replicates_B: np.ndarray, *, units: int) -> tuple[float, float]:
    """The 95% interval of a score, from its replicates and the number of units that it looks at."""
    known_B = replicates_B[~np.isnan(replicates_B)]
    variance = float(known_B.var()) * units / max(units - 1, 1) if len(known_B) > 1 else 0.0
    quantile = float(stdtrit(max(units - 1, 1), (1 + LEVEL) / 2))
    lower, upper = bounds_of(metric)
    corrected = min(max(2 * value - float(known_B.mean()), lower), upper) if len(known_B) else value
    middles = sorted((value, corrected))
    if math.isinf(upper):
        factor = math.exp(quantile * math.sqrt(variance) / value) if value > 0 else 1.0
        return middles[0] / factor, middles[1] * factor
    if metric in DISTANCES:
        reach = quantile * math.sqrt(variance)
        return max(middles[0] - reach, lower), min(middles[1] + reach, upper)
    width = upper - lower
    ends = [_wilson((middle - lower) / width, variance / width**2, quantile, units=units) for middle in middles]
    return lower + width * ends[0][0], lower + width * ends[1][1]


def _wilson(share: float, variance: float, quantile: float, *, units: int) -> tuple[float, float]:
    """Where the share, in as many units as its variance speaks of, is not improbable; where all replicates say the same, in all `units`."""
    spread = share * (1 - share)
    effective = spread / variance if spread > 0 and variance > ROUNDING * spread else units
    shrunk = quantile**2 / effective
    centre = (share + shrunk / 2) / (1 + shrunk)
    reach = math.sqrt(quantile**2 * (spread / effective + (shrunk / effective) / 4)) / (1 + shrunk)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def _over_labels(seen: Sequence[int], every: int) -> int:
    """As how many units a mean over labels counts, which have `seen` so many: the mean of L shares varies with the sum of 1 / n over L²."""
    return max(round(len(seen) ** 2 / sum(1 / count for count in seen)), 1) if seen and all(seen) else every
