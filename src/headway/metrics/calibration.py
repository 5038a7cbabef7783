"""Whether a model is right as often as it says.

Judged is what the model says with a probability: the class of a record, each label of a set, each predicted entity, an answer.

Shape letters: N records, M things judged, B ways to weigh the records, K bins.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from headway.metrics.scores import Key, ratio, unless
from headway.metrics.squad import answer_em
from headway.records import Prediction, Record

MOST_BINS = 10
FEWEST_IN_A_BIN = 20  # with fewer, chance alone parts what is said from what is so


class Judged(NamedTuple):
    record_M: np.ndarray  # which record it is said of
    probability_M: np.ndarray
    right_M: np.ndarray  # 1 where it was so
    error_M: np.ndarray  # squared, 0 to 1: of the whole distribution over classes, halved, or of the one probability


class Bin(NamedTuple):
    """The things that were said about equally surely."""

    count: int
    said: float  # mean probability
    right: float  # share that was so


def judge(records: Sequence[Record], predictions: Sequence[Prediction]) -> Judged | None:
    """All that is said with a probability; None where nothing is."""
    rows = [(n, *row) for n, pair in enumerate(zip(records, predictions, strict=True)) for row in _judged(*pair)]
    return Judged(*np.array(rows, dtype=np.float64).T) if rows else None


def _judged(record: Record, said: Prediction) -> list[tuple[float, bool, float]]:
    if record.entities is not None:
        left = Counter((span.start, span.end, span.label) for span in record.entities)
        rows = []
        for span in said.entities or ():
            right = left[span.start, span.end, span.label] > 0
            left[span.start, span.end, span.label] -= 1
            rows += [(span.confidence, right)] if span.confidence is not None else []
    elif isinstance(record.label, tuple):
        rows = [(probability, label in record.label) for label, probability in (said.scores or {}).items()]
    elif said.confidence is None:
        return []
    elif record.answers is not None:
        rows = [(said.confidence, answer_em([record.text[a.start : a.end] for a in record.answers], said.answer or "") == 1)]
    else:
        over_classes = said.scores or {said.label: said.confidence}
        missed = [probability - (label == record.label) for label, probability in over_classes.items()]
        error = sum(off**2 for off in missed) + (record.label not in over_classes)
        return [(said.confidence, said.label == record.label, error / 2)]
    return [(probability, right, (probability - right) ** 2) for probability, right in rows]


def bins(judged: Judged) -> list[np.ndarray]:
    """Positions of the things judged, from the least to the most probable, in up to 10 bins of about equal size; equals stay together."""
    count = max(min(MOST_BINS, len(judged.record_M) // FEWEST_IN_A_BIN), 1)
    edges = np.unique(np.quantile(judged.probability_M, np.linspace(0, 1, count + 1)[1:-1], method="higher"))
    bin_M = np.searchsorted(edges, judged.probability_M, side="right")
    return [np.flatnonzero(bin_M == number) for number in np.unique(bin_M)]


def reliability(judged: Judged) -> tuple[Bin, ...]:
    """What was said and what was so, bin by bin: the points of a reliability diagram."""
    return tuple(Bin(len(of), float(judged.probability_M[of].mean()), float(judged.right_M[of].mean())) for of in bins(judged))


def calibration(judged: Judged, *, records: int):
    """How to weigh the expected calibration error, in bins of equal mass, and Brier's score: both 0 to 1, less is better.

    Sources: Naeini, Cooper and Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning; Nguyen and O'Connor 2015,
    arXiv:1508.05154 (bins of equal mass); Brier 1950, Verification of Forecasts Expressed in Terms of Probability.
    """
    places = bins(judged)
    bin_M = np.concatenate([np.full(len(of), number) for number, of in enumerate(places)])
    order = np.concatenate(places)
    record_M = judged.record_M[order].astype(np.int64)
    off_M = (judged.probability_M - judged.right_M)[order]
    off_KN = csr_array((off_M, (bin_M, record_M)), shape=(len(places), records))
    count_N = np.bincount(record_M, minlength=records).astype(np.float64)
    error_N = np.bincount(record_M, weights=judged.error_M[order], minlength=records)
    return partial(_weigh, off_KN, count_N, error_N)


def _weigh(off_KN: csr_array, count_N: np.ndarray, error_N: np.ndarray, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    count_B = count_N @ weights_NB
    metrics = {"ece": np.abs(off_KN @ weights_NB).sum(axis=0), "brier": error_N @ weights_NB}
    return {(None, metric): unless(count_B == 0, ratio(total_B, count_B)) for metric, total_B in metrics.items()}
