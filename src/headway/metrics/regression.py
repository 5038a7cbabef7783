"""Scores of predicted numbers. Shape letter: N records."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from headway.metrics.scores import Scores, paired


def score_numbers(gold: Sequence[float], predicted: Sequence[float]) -> Scores:
    """Pearson's and Spearman's correlation (-1 to 1), and the mean absolute and root mean squared error in units of the gold.

    A side that is constant correlates with nothing: 0.
    """
    gold_N, predicted_N = np.array(paired(gold, predicted), dtype=np.float64).T
    error_N = predicted_N - gold_N
    values = {
        "pearson": _correlation(gold_N, predicted_N),
        "spearman": _correlation(rankdata(gold_N), rankdata(predicted_N)),
        "mae": float(np.abs(error_N).mean()),
        "rmse": float(np.sqrt((error_N**2).mean())),
    }
    return Scores(main="spearman", values=values)


def _correlation(a_N: np.ndarray, b_N: np.ndarray) -> float:
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:  # asked before centring: the mean of equal numbers can be off by a rounding
        return 0.0
    return float(np.clip(_direction(a_N) @ _direction(b_N), -1, 1))


def _direction(a_N: np.ndarray) -> np.ndarray:
    """The centred numbers at length 1; scaled first, so that squares of tiny numbers do not vanish."""
    centred_N = a_N - a_N.mean()
    scaled_N = centred_N / np.abs(centred_N).max()
    return scaled_N / np.linalg.norm(scaled_N)
