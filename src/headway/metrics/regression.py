"""Scores of predicted numbers. Shape letters: N records, B ways to weigh them, T different numbers."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from headway.metrics.scores import Key, Scores, paired, ratio, scored, unless

CONSTANT = 1e-13  # numbers that differ by less than this share of the largest are the same but for rounding


class Ranked(NamedTuple):
    """Which of the different numbers, from the smallest, each record has."""

    place_N: np.ndarray
    ones_TN: csr_array


def score_numbers(gold: Sequence[float], predicted: Sequence[float]) -> Scores:
    """Pearson's and Spearman's correlation (-1 to 1), and the mean absolute and root mean squared error in units of the gold.

    A side that is constant correlates with nothing: 0; where that is the gold, nothing is judged. Equal numbers share the mean of their
    ranks.

    Raises:
        ValueError: a number is not finite, as where a training has diverged.
    """
    gold_N, predicted_N = np.asarray_chkfinite(paired(gold, predicted), dtype=np.float64).T
    scaled = _scaled(gold_N), _scaled(predicted_N)
    ranked = _ranked(gold_N), _ranked(predicted_N)
    error_N = np.abs(gold_N - predicted_N)
    return scored("spearman", partial(_weigh, scaled, ranked, error_N), -error_N, judged=bool(np.ptp(gold_N) > 0))


def _scaled(numbers_N: np.ndarray) -> np.ndarray:
    """From 0 to 1, so that squares of tiny and huge numbers neither vanish nor overflow."""
    least, most = numbers_N.min(), numbers_N.max()
    return (numbers_N / 2 - least / 2) / (most / 2 - least / 2) if most > least else np.zeros_like(numbers_N)


def _ranked(numbers_N: np.ndarray) -> Ranked:
    different, place_N = np.unique(numbers_N, return_inverse=True)
    ones = csr_array((np.ones(len(place_N)), (place_N, np.arange(len(place_N)))), shape=(len(different), len(place_N)))
    return Ranked(place_N, ones)


def _weigh(
    scaled: tuple[np.ndarray, np.ndarray], ranked: tuple[Ranked, Ranked], error_N: np.ndarray, weights_NB: np.ndarray
) -> dict[Key, np.ndarray]:
    records_B = weights_NB.sum(axis=0)
    largest = error_N.max() or 1.0  # so that squares of tiny errors do not vanish
    metrics = {
        "pearson": _correlation(*(numbers_N[:, None] for numbers_N in scaled), weights_NB),
        "spearman": _correlation(*(_ranks(side, weights_NB) for side in ranked), weights_NB),
        "mae": ratio(error_N @ weights_NB, records_B),
        "rmse": largest * np.sqrt(ratio((error_N / largest) ** 2 @ weights_NB, records_B)),
    }
    return {(None, metric): unless(records_B == 0, values_B) for metric, values_B in metrics.items()}


def _ranks(side: Ranked, weights_NB: np.ndarray) -> np.ndarray:
    """(N, B): the rank of each record among those that are weighed, each as many times over as it weighs, as a share of them."""
    equal_TB = side.ones_TN @ weights_NB
    ranks_TB = np.cumsum(equal_TB, axis=0) - (equal_TB - 1) / 2
    return ratio(ranks_TB, weights_NB.sum(axis=0))[side.place_N]


def _correlation(left_NB: np.ndarray, right_NB: np.ndarray, weights_NB: np.ndarray) -> np.ndarray:
    """(B,) Pearson's correlation; 0 where a side is constant."""
    records_B = weights_NB.sum(axis=0)
    left_NB, right_NB = (side - ratio((side * weights_NB).sum(axis=0), records_B) for side in (left_NB, right_NB))
    together_B = (left_NB * right_NB * weights_NB).sum(axis=0)
    spread_B, other_B = ((side**2 * weights_NB).sum(axis=0) for side in (left_NB, right_NB))
    varies_B = np.minimum(spread_B, other_B) > records_B * CONSTANT**2
    found_B = np.divide(together_B, np.sqrt(spread_B) * np.sqrt(other_B), out=np.zeros_like(together_B), where=varies_B)
    return np.clip(found_B, -1.0, 1.0)
