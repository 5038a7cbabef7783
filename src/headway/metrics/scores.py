"""What every metric gives, and what every metric takes.

A score is a function of how often each record counts: once each for the score itself, as often as it was drawn for a bootstrap, 0 or 1
for a slice, one prediction or the other for a paired test. So each metric is written once, and what is summed of a record is counted once.

Shape letters: N records, B ways to weigh them, K counts of a record.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import numpy as np

G = TypeVar("G")
P = TypeVar("P")

Key = tuple[str | None, str]  # class or entity type, None for all together; name of the metric
Weigh = Callable[[np.ndarray], dict[Key, np.ndarray]]  # weights_NB -> values_B; not a number where nothing is weighed
COUNTS = frozenset({"support", "absent_labels"})  # what is counted and not estimated


@dataclass(frozen=True)
class Scores:
    """How good a set of predictions is."""

    main: str  # the metric that decides early stopping; more is better
    values: dict[str, float]
    by_label: dict[str, dict[str, float]] = field(default_factory=dict)  # class or entity type -> precision, recall, f1, support
    intervals: dict[Key, tuple[float, float]] = field(default_factory=dict)  # 95%; empty until they are asked for
    judged: bool = True  # whether people have said anything to judge the main score by; where not, its value means nothing
    reliability: tuple = ()  # the `Bin`s of what was said with a probability, from the least probable
    weigh: Weigh | None = field(default=None, compare=False, repr=False)
    each_N: np.ndarray | None = field(default=None, compare=False, repr=False)  # how well each record is answered; more is better
    about: Mapping[Key, np.ndarray] = field(default_factory=dict, compare=False, repr=False)  # records that a score looks at, where not all

    def interval(self, metric: str, label: str | None = None) -> tuple[float, float] | None:
        """The lower and upper bound of the 95% interval, where there is one."""
        return self.intervals.get((label, metric))


def scored(main: str, weigh: Weigh, each_N: np.ndarray, *, about: Mapping[Key, np.ndarray] | None = None, judged: bool = True) -> Scores:
    """The scores with every record counting once. What would divide by nothing is 0."""
    found = {key: float(np.nan_to_num(value_B[0])) for key, value_B in weigh(np.ones((len(each_N), 1))).items()}
    by_label: dict[str, dict[str, float]] = {label: {} for label, _ in found if label is not None}
    for (label, metric), value in found.items():
        if label is not None:
            by_label[label][metric] = value
    return Scores(
        main,
        {metric: value for (label, metric), value in found.items() if label is None},
        by_label,
        judged=judged,
        weigh=weigh,
        each_N=each_N,
        about=about or {},
    )


def paired(gold: Sequence[G], predicted: Sequence[P]) -> list[tuple[G, P]]:
    """Gold and predicted, record by record.

    Raises:
        ValueError: there is nothing to score, or one prediction a record is not what was given.
    """
    if not gold:
        raise ValueError("nothing to score: there are no records")
    return list(zip(gold, predicted, strict=True))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """One by the other; 0 where that would divide by 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(np.shape(above), np.shape(below))), where=below > 0)


def unless(nothing: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values, and not a number where nothing was weighed."""
    return np.where(nothing, np.nan, values)


def rates(right_LB: np.ndarray, found_LB: np.ndarray, real_LB: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 from how many are right, were predicted and stand in the gold; each where there is something to judge."""
    return {
        "precision": unless(found_LB == 0, ratio(right_LB, found_LB)),
        "recall": unless(real_LB == 0, ratio(right_LB, real_LB)),
        "f1": unless(found_LB + real_LB == 0, ratio(2 * right_LB, found_LB + real_LB)),
    }


def mean_where_known(values_LB: np.ndarray) -> np.ndarray:
    """(B,) the mean over the labels that have a value; 0 where none has."""
    known_LB = ~np.isnan(values_LB)
    return ratio(np.where(known_LB, values_LB, 0.0).sum(axis=0), known_LB.sum(axis=0))


def rows_of(matrix) -> list[np.ndarray]:
    """The columns that are filled, of each row of a sparse matrix."""
    compressed = matrix.tocsr()
    return [compressed.indices[start:end] for start, end in pairwise(compressed.indptr)]
