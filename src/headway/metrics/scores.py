"""What every metric gives, and the one count behind all precisions, recalls and F1 scores."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

G = TypeVar("G")
P = TypeVar("P")


@dataclass(frozen=True)
class Scores:
    """How good a set of predictions is."""

    main: str  # the metric that decides early stopping; more is better
    values: dict[str, float]
    by_label: dict[str, dict[str, float]] = field(default_factory=dict)  # class or entity type -> precision, recall, f1, support


class Tally(NamedTuple):
    """How often each label was predicted rightly, was predicted at all, and stands in the gold."""

    right: Counter[str]
    predicted: Counter[str]
    gold: Counter[str]

    def by_label(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of every label that was predicted or stands in the gold, by name."""
        labels = sorted(self.predicted.keys() | self.gold.keys())
        return {label: rates(self.right[label], self.predicted[label], self.gold[label]) for label in labels}

    def overall(self) -> dict[str, float]:
        """Precision, recall and F1 of all decisions taken as one label."""
        return rates(self.right.total(), self.predicted.total(), self.gold.total())


def rates(right: int, predicted: int, gold: int) -> dict[str, float]:
    """Precision, recall, F1 and support from three counts; 0 where a rate would divide by 0."""
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
        "support": float(gold),
    }


def macro_f1(by_label: dict[str, dict[str, float]]) -> float:
    """The mean F1, every label alike; a label that was only predicted counts too, with its 0."""
    return sum(label["f1"] for label in by_label.values()) / max(len(by_label), 1)


def weighted_f1(by_label: dict[str, dict[str, float]]) -> float:
    """The mean F1, every label by its share of the gold."""
    support = sum(label["support"] for label in by_label.values())
    return sum(label["f1"] * label["support"] for label in by_label.values()) / max(support, 1)


def paired(gold: Sequence[G], predicted: Sequence[P]) -> list[tuple[G, P]]:
    """Gold and predicted, record by record.

    Raises:
        ValueError: there is nothing to score, or one prediction a record is not what was given.
    """
    if not gold:
        raise ValueError("nothing to score: there are no records")
    return list(zip(gold, predicted, strict=True))
