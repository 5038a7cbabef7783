"""Where to cut a score so that F1 is highest. Shape letter: N questions or records, in falling order of score once sorted.

A cut takes the `k` highest scores. All cuts are weighed at once from running sums: O(N log N).
"""

from collections.abc import Sequence

import numpy as np


def best_threshold(probabilities: Sequence[float], gold: Sequence[bool], *, default: float = 0.5, min_positives: int = 10) -> float:
    """The threshold of one label that gives it the highest F1: the label is set where `probability >= threshold`.

    Half-way between two neighbouring probabilities; of equally good ones the highest. `default` where fewer than `min_positives`
    records have the label, since a threshold tuned on a handful of records fits them and not the label.

    Source: Yang 2001, A Study of Thresholding Strategies for Text Categorization (SCut, and how it overfits rare categories).
    """
    score_N, gold_N = _falling(np.asarray(probabilities, dtype=np.float64), np.asarray(gold, dtype=np.float64))
    positives = gold_N.sum()
    if positives < max(min_positives, 1):
        return default
    f1_N = 2 * np.cumsum(gold_N) / (np.arange(1, len(gold_N) + 1) + positives)
    return _best_cut(score_N, np.append(0.0, f1_N), above=1.0, below=0.0)


def best_macro_threshold(probabilities: Sequence[float], gold: Sequence[bool]) -> float:
    """The threshold of one of two classes that gives both the highest F1 in the mean: a record is of it where `probability >= threshold`.

    Half-way between two neighbouring probabilities; of equally good ones the highest, which is over 1 where no record had better be of it.
    """
    score_N, gold_N = _falling(np.asarray(probabilities, dtype=np.float64), np.asarray(gold, dtype=np.float64))
    right, taken = np.append(0.0, np.cumsum(gold_N)), np.arange(len(gold_N) + 1)
    positives, negatives = gold_N.sum(), len(gold_N) - gold_N.sum()
    left_right = negatives - (taken - right)  # of those that are not taken, how many are rightly not
    f1 = 2 * right / np.maximum(taken + positives, 1) + 2 * left_right / np.maximum(len(gold_N) - taken + negatives, 1)
    return _best_cut(score_N, f1, above=np.nextafter(1.0, 2.0), below=0.0)


def best_no_answer_threshold(null_minus_best: Sequence[float], f1: Sequence[float], answerable: Sequence[bool]) -> float:
    """The threshold that gives the highest F1 over all questions: there is no answer where `null_minus_best > threshold`.

    `null_minus_best` is the score of "no answer" less that of the best span, finite; `f1` is what that span would earn (0 where the
    question has no answer). Half-way between two neighbours, and 1 beyond the last where everything or nothing is best answered;
    of equally good thresholds the lowest. Unlike the published sweep, questions of equal score are never parted.

    Source: find_best_thresh in evaluate-v2.0.py of SQuAD 2.0, arXiv:1806.03822.
    """
    silent_N = 1.0 - np.asarray(answerable, dtype=np.float64)  # what saying nothing earns
    score_N, gain_N = _falling(-np.asarray(null_minus_best, dtype=np.float64), np.asarray(f1, dtype=np.float64) - silent_N)
    return -_best_cut(score_N, np.append(0.0, np.cumsum(gain_N)), above=score_N[0] + 2, below=score_N[-1] - 2)


def _falling(score_N: np.ndarray, worth_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by falling score; equal scores by worth, so that running sums do not depend on the order of the records."""
    order_N = np.lexsort((worth_N, -score_N))
    return score_N[order_N], worth_N[order_N]


def _best_cut(score_N: np.ndarray, quality: np.ndarray, *, above: float, below: float) -> float:
    """The threshold that the `k` highest scores reach, for the smallest `k` (0 to N) of highest `quality[k]`."""
    bounds = np.concatenate(([np.inf], score_N, [-np.inf]))
    possible = bounds[:-1] > bounds[1:]  # no threshold parts equal scores
    k = int(np.argmax(np.where(possible, quality, -np.inf)))
    reached = float(score_N[k - 1]) if k > 0 else above
    missed = float(score_N[k]) if k < len(score_N) else below
    middle = (reached + missed) / 2
    return middle if middle > missed else reached  # neighbouring floats have nothing between them
