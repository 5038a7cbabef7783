"""Average precision of the probabilities of labels: how well a label is found, at whatever threshold.

Shape letters: N records, B ways to weigh them, L labels, T different probabilities of a label that some record with it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, vstack

from headway.metrics.scores import Key, Weigh, mean_where_known, ratio, unless


class Ranked(NamedTuple):
    """The thresholds at which a label is found, from the highest, of all labels one below the other."""

    labels: list[str]
    starts: list[int]  # the first threshold of each label, and behind the last
    reached_TN: csr_array  # records from the threshold before (without) down to this one
    gained_TN: csr_array  # those of them that have the label


def average_precision(gold: Sequence[Iterable[str]], scores: Sequence[Mapping[str, float]]) -> tuple[Weigh, dict[Key, np.ndarray]]:
    """How to weigh it, for each label and in the mean over the labels that occur, and the records with each label.

    The mean of the precisions at which each record with the label is found, from the most probable on. `scores` holds the
    probability of every label for each record; a label that the model does not know has none, 0.

    Source: Zhu 2004, Recall, Precision and Average Precision; as scikit-learn has it, without interpolation.
    """
    gold_sets = [set(labels) for labels in gold]
    labels = sorted(set().union(*gold_sets))
    gold_LN = np.array([[label in having for having in gold_sets] for label in labels]).reshape(len(labels), len(gold_sets))
    parts = [
        _thresholds(np.array([of_record.get(label, 0.0) for of_record in scores]), has_N)
        for label, has_N in zip(labels, gold_LN, strict=True)
    ]
    starts = np.cumsum([0, *(reached.shape[0] for reached, _ in parts)]).tolist()
    if not labels:
        return _weigh_none, {}
    ranked = Ranked(labels, starts, *(vstack(matrices, format="csr") for matrices in zip(*parts, strict=True)))
    return partial(_weigh, ranked), {
        (label, "average_precision"): np.flatnonzero(has_N) for label, has_N in zip(labels, gold_LN, strict=True)
    }


def _thresholds(score_N: np.ndarray, has_N: np.ndarray) -> tuple[csr_array, csr_array]:
    """reached_TN and gained_TN of one label; the records below its last threshold are not looked at."""
    thresholds = -np.unique(-score_N[has_N])
    row_N = np.searchsorted(-thresholds, -score_N)  # records of equal probability are reached together
    return tuple(_ones(row_N, np.flatnonzero(of_N), len(thresholds)) for of_N in (row_N < len(thresholds), has_N))


def _ones(row_N: np.ndarray, records: np.ndarray, rows: int) -> csr_array:
    return csr_array((np.ones(len(records)), (row_N[records], records)), shape=(rows, len(row_N)))


def _weigh(ranked: Ranked, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    reached_TB, gained_TB = ranked.reached_TN @ weights_NB, ranked.gained_TN @ weights_NB
    rows = []
    for start, end in zip(ranked.starts, ranked.starts[1:], strict=False):
        right_TB = np.cumsum(gained_TB[start:end], axis=0)
        precision_TB = ratio(right_TB, np.cumsum(reached_TB[start:end], axis=0))
        all_B = right_TB[-1]
        rows.append(unless(all_B == 0, ratio((precision_TB * gained_TB[start:end]).sum(axis=0), all_B)))
    mean_B = unless(weights_NB.sum(axis=0) == 0, mean_where_known(np.stack(rows)))
    return {(None, "average_precision"): mean_B} | {
        (label, "average_precision"): values_B for label, values_B in zip(ranked.labels, rows, strict=True)
    }


def _weigh_none(weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    return {(None, "average_precision"): np.full(weights_NB.shape[1], np.nan)}
