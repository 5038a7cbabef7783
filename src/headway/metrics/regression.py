"""Scores of predicted numbers, from scipy and scikit-learn. Shape letter: N records."""

from collections.abc import Callable, Sequence
from warnings import catch_warnings

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from headway.metrics.scores import Scores, paired


def score_numbers(gold: Sequence[float], predicted: Sequence[float]) -> Scores:
    """Pearson's and Spearman's correlation (-1 to 1), and the mean absolute and root mean squared error in units of the gold.

    A side that is constant correlates with nothing: 0.

    Raises:
        ValueError: a number is not finite, as where a training has diverged.
    """
    gold_N, predicted_N = np.array(paired(gold, predicted), dtype=np.float64).T
    values = {
        "pearson": _correlation(pearsonr, gold_N, predicted_N),
        "spearman": _correlation(spearmanr, gold_N, predicted_N),
        "mae": float(mean_absolute_error(gold_N, predicted_N)),
        "rmse": float(root_mean_squared_error(gold_N, predicted_N)),
    }
    return Scores(main="spearman", values=values)


def _correlation(correlate: Callable, gold_N: np.ndarray, predicted_N: np.ndarray) -> float:
    if np.ptp(gold_N) == 0 or np.ptp(predicted_N) == 0:
        return 0.0
    with catch_warnings(action="ignore", category=RuntimeWarning):  # of nearly constant numbers, and of two records that have no p-value
        return float(correlate(gold_N, predicted_N).statistic)
