"""Scores of classes, one a record or any number of them, as scikit-learn counts them.

Shape letters: N records, B ways to weigh them, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from headway.metrics.scores import Key, Scores, mean_where_known, paired, rates, ratio, rows_of, scored, unless

IMBALANCED = 3  # times the rarest class: from here on, accuracy hides how the rare classes fare


class Decisions(NamedTuple):
    """Which labels each record has, and which are said of it, as ones in sparse matrices."""

    labels: list[str]
    gold_LN: csr_array
    predicted_LN: csr_array
    right_LN: csr_array


def score_classes(gold: Sequence[str], predicted: Sequence[str], *, positive: str | None = None) -> Scores:
    """Accuracy, macro, micro and weighted F1, and Matthews' correlation (-1 to 1; 0 where a side has one class) of one class a record.

    `positive` names the class that a two-class problem is about, and adds its precision, recall and f1. A gold class that the model
    has never seen counts as an error like any other, and as a class of the macro mean.
    """
    pairs = paired(gold, predicted)
    decisions = _decisions([(truth,) for truth, _ in pairs], [(guess,) for _, guess in pairs])
    each_N = np.array([float(truth == guess) for truth, guess in pairs])
    weigh = partial(_weigh_classes, decisions, positive)
    about = _about(decisions)
    if positive is not None:
        about |= {(None, metric): about.get((positive, metric), np.arange(0)) for metric in ("precision", "recall", "f1")}
    return scored(main_metric(Counter(gold)), weigh, each_N, about=about)


def main_metric(gold: Counter[str]) -> str:
    """Macro F1 where the largest gold class is over three times the smallest, else accuracy.

    With 13% spam, a model that never says "spam" is 87% accurate and useless; its macro F1 of 0.47 tells.
    """
    return "macro_f1" if max(gold.values()) > IMBALANCED * min(gold.values()) else "accuracy"


def score_label_sets(gold: Sequence[Iterable[str]], predicted: Sequence[Iterable[str]], *, labels: Iterable[str] = ()) -> Scores:
    """Macro, micro, weighted and samples F1, and subset accuracy, of any number of classes a record.

    Of the `labels` that the model knows, those that are neither in the gold nor predicted say nothing about it: they are left out of
    the macro mean and counted in `absent_labels`. A record without labels for which none is predicted has a samples F1 of 1; where no
    record has a label, nothing is judged.
    """
    pairs = [(set(truth), set(guess)) for truth, guess in paired(gold, predicted)]
    decisions = _decisions(*zip(*pairs, strict=True))
    each_N = np.array([2 * len(truth & guess) / (len(truth) + len(guess)) if truth or guess else 1.0 for truth, guess in pairs])
    same_N = np.array([float(truth == guess) for truth, guess in pairs])
    absent = len(set(labels) - set(decisions.labels))
    weigh = partial(_weigh_label_sets, decisions, np.stack([each_N, same_N]), absent)
    return scored("macro_f1", weigh, each_N, about=_about(decisions), judged=any(truth for truth, _ in pairs))


def _decisions(gold: Sequence[Iterable[str]], predicted: Sequence[Iterable[str]]) -> Decisions:
    labels = sorted(set().union(*gold, *predicted))
    row = {label: number for number, label in enumerate(labels)}
    gold_LN, predicted_LN = _ones(gold, row), _ones(predicted, row)
    return Decisions(labels, gold_LN, predicted_LN, gold_LN.multiply(predicted_LN).tocsr())


def _ones(sets: Sequence[Iterable[str]], row: Mapping[str, int]) -> csr_array:
    """ones_LN: which record has which label."""
    places = np.array([(row[label], record) for record, labels in enumerate(sets) for label in labels]).reshape(-1, 2).T
    return csr_array((np.ones(places.shape[1]), places), shape=(len(row), len(sets)))


def _about(decisions: Decisions) -> dict[Key, np.ndarray]:
    """Precision looks at the records that are called so, recall at those that are, F1 at both."""
    of_metric = {
        "precision": decisions.predicted_LN,
        "recall": decisions.gold_LN,
        "f1": decisions.predicted_LN + decisions.gold_LN,
    }
    return {
        (label, metric): records
        for metric, ones_LN in of_metric.items()
        for label, records in zip(decisions.labels, rows_of(ones_LN), strict=True)
    }


def _weigh_classes(decisions: Decisions, positive: str | None, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    right_LB, found_LB, real_LB = _totals(decisions, weights_NB)
    records_B = weights_NB.sum(axis=0)
    of_label = rates(right_LB, found_LB, real_LB)
    overall = {
        "accuracy": ratio(right_LB.sum(axis=0), records_B),
        **_mean_f1(right_LB, found_LB, real_LB, of_label["f1"]),
        "mcc": _matthews(right_LB, found_LB, real_LB),
    }
    if positive is not None:
        column = decisions.labels.index(positive) if positive in decisions.labels else None
        overall |= {m: v_LB[column] if column is not None else np.full_like(records_B, np.nan) for m, v_LB in of_label.items()}
    weighed = {(None, metric): unless(records_B == 0, values_B) for metric, values_B in overall.items()}
    return weighed | _by_label(decisions.labels, of_label, real_LB)


def _weigh_label_sets(decisions: Decisions, each_2N: np.ndarray, absent: int, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    right_LB, found_LB, real_LB = _totals(decisions, weights_NB)
    records_B = weights_NB.sum(axis=0)
    of_label = rates(right_LB, found_LB, real_LB)
    samples_f1_B, subset_accuracy_B = ratio(each_2N @ weights_NB, records_B)
    overall = {
        **_mean_f1(right_LB, found_LB, real_LB, of_label["f1"]),
        "samples_f1": samples_f1_B,
        "subset_accuracy": subset_accuracy_B,
    }
    weighed = {(None, metric): unless(records_B == 0, values_B) for metric, values_B in overall.items()}
    return weighed | {(None, "absent_labels"): np.full_like(records_B, absent)} | _by_label(decisions.labels, of_label, real_LB)


def _totals(decisions: Decisions, weights_NB: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each label, how many are right, were predicted, and stand in the gold: each (L, B)."""
    return decisions.right_LN @ weights_NB, decisions.predicted_LN @ weights_NB, decisions.gold_LN @ weights_NB


def _by_label(labels: Sequence[str], of_label: Mapping[str, np.ndarray], real_LB: np.ndarray) -> dict[Key, np.ndarray]:
    metrics = {**of_label, "support": real_LB}
    return {(label, metric): values_LB[row] for row, label in enumerate(labels) for metric, values_LB in metrics.items()}


def _mean_f1(right_LB: np.ndarray, found_LB: np.ndarray, real_LB: np.ndarray, f1_LB: np.ndarray) -> dict[str, np.ndarray]:
    """F1 with every label alike, with every decision alike, and with every label by its share of the gold."""
    return {
        "macro_f1": mean_where_known(f1_LB),
        "micro_f1": ratio(2 * right_LB.sum(axis=0), (found_LB + real_LB).sum(axis=0)),
        "weighted_f1": ratio((real_LB * np.nan_to_num(f1_LB)).sum(axis=0), real_LB.sum(axis=0)),
    }


def _matthews(right_LB: np.ndarray, found_LB: np.ndarray, real_LB: np.ndarray) -> np.ndarray:
    """(B,) Source: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient."""
    records_B = real_LB.sum(axis=0)
    together_B = right_LB.sum(axis=0) * records_B - (found_LB * real_LB).sum(axis=0)
    found_B = records_B**2 - (found_LB**2).sum(axis=0)
    real_B = records_B**2 - (real_LB**2).sum(axis=0)
    return np.divide(together_B, np.sqrt(found_B * real_B), out=np.zeros_like(together_B), where=found_B * real_B > 0)
