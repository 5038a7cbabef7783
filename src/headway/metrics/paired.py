"""Whether one model is better than another on the same records, and by how much.

The predictions of both are scored as 2N records, the first model's before the second's, and weighed: each record counts with the one or
with the other prediction. So every metric has a test, also those that are no mean over records.

Shape letters: N records, U units, B replicates.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, stdtrit  # not scipy.stats, which takes a second to import

from headway.metrics.resampling import CELLS, ERRORS, LEVEL, REPLICATES, draws, units, units_seen
from headway.metrics.scores import COUNTS, Key, Scores

EXCHANGES = 5000  # so that p = .05 is known to .006
ROUNDING = 1e-12  # a difference this much smaller is not smaller


class Difference(NamedTuple):
    """How much more the second model has of a score."""

    value: float
    low: float  # of the 95% interval
    high: float
    p: float  # how often models that are equally good differ by as much


def differences(
    both: Scores, unit_N: np.ndarray, *, replicates: int = REPLICATES, exchanges: int = EXCHANGES, seed: int = 1
) -> dict[Key, Difference]:
    """The difference in every score of `both`, 2N records of which the first N are the first model's.

    The interval is Student's, with the variance of a paired bootstrap, to which one more unit answered differently is added: where two
    models hardly ever differ, that they never do was not shown. p is that of approximate randomisation: which model said which of
    the two answers to a unit is exchanged at random.

    Sources: Agresti and Min 2005, Simple Improved Confidence Intervals for Comparing Matched Proportions; Noreen 1989,
    Computer-Intensive Methods for Testing Hypotheses; Yeh 2000, More Accurate Tests for the Statistical Significance of Result Differences.
    """
    count = len(unit_N)
    apart = np.repeat([[1.0], [0.0]], count, axis=0)
    once = {key: float(values_B[0]) for key, values_B in _differ(both, apart).items()}
    drawn = _gathered(_differ(both, np.concatenate([w, np.zeros_like(w)])) for w in draws(unit_N, replicates=replicates, seed=seed))
    exchanged = _gathered(_differ(both, weights) for weights in _exchanges(unit_N, count=exchanges, seed=seed))
    seen = units_seen(both, once, np.concatenate([unit_N, unit_N]))
    found = {}
    for key, value in once.items():
        if key[1] not in COUNTS and not np.isnan(value):
            others_B = np.abs(np.nan_to_num(exchanged[key]))
            p = (1 + np.count_nonzero(others_B >= abs(value) - ROUNDING)) / (1 + exchanges)
            found[key] = Difference(value, *_interval(key, value, drawn[key], seen[key]), float(p))
    return found


def overall_differences(both: Scores, names: Iterable[str]) -> dict[str, Difference]:
    """The difference in every score of all records together, by metric; `names` are the units of the N records, "" for one by itself.

    Of single records p of an accuracy is McNemar's.
    """
    unit_N = units(names)
    found = {metric: difference for (label, metric), difference in differences(both, unit_N).items() if label is None}
    if "accuracy" in found and len(np.unique(unit_N)) == len(unit_N):
        found["accuracy"] = found["accuracy"]._replace(p=mcnemar(*np.split(both.each_N, 2)))
    return found


def mcnemar(first_right_N: np.ndarray, second_right_N: np.ndarray) -> float:
    """p of an accuracy, of single records: exact, where approximate randomisation draws lots.

    Source: McNemar 1947, Note on the Sampling Error of the Difference Between Correlated Proportions; in its exact, binomial form.
    """
    won, lost = int(np.sum(second_right_N > first_right_N)), int(np.sum(second_right_N < first_right_N))
    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5)))


def holm(p_values: list[float]) -> list[float]:
    """The p-values of several comparisons, such that one of them is under .05 by chance alone in at most 5%.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(p_values[place] * (len(p_values) - rank), 1.0))
        adjusted[place] = least
    return adjusted


def _differ(both: Scores, weights_2NB: np.ndarray) -> dict[Key, np.ndarray]:
    """The scores of the records weighed so for the first model, less than those with the halves exchanged: the second model's."""
    first, second = both.weigh(weights_2NB), both.weigh(np.roll(weights_2NB, len(weights_2NB) // 2, axis=0))
    return {key: second[key] - first[key] for key in first}


def _exchanges(unit_N: np.ndarray, *, count: int, seed: int) -> Iterator[np.ndarray]:
    """weights_2NB, a few at a time: each unit with its answers in their place or exchanged."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, step := max(CELLS // (2 * len(unit_N)), 1)):
        stays_UB = generator.integers(2, size=(int(unit_N.max()) + 1, min(step, count - start)), dtype=np.int8).astype(np.float64)
        yield np.concatenate([stays_UB[unit_N], 1 - stays_UB[unit_N]])


def _gathered(parts: Iterator[dict[Key, np.ndarray]]) -> dict[Key, np.ndarray]:
    kept = list(parts)
    return {key: np.concatenate([part[key] for part in kept]) for key in kept[0]}


def _interval(key: Key, value: float, replicates_B: np.ndarray, seen: int) -> tuple[float, float]:
    known_B = replicates_B[~np.isnan(replicates_B)]
    variance = float(known_B.var()) * seen / max(seen - 1, 1) if len(known_B) > 1 else 0.0
    one_more = 0.0 if key[1] in ERRORS else 1 / (seen + 2) ** 2
    reach = float(stdtrit(max(seen - 1, 1), (1 + LEVEL) / 2)) * np.sqrt(variance + one_more)
    return float(value - reach), float(value + reach)
