"""What every metric gives, and what every metric takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

G = TypeVar("G")
P = TypeVar("P")


@dataclass(frozen=True)
class Scores:
    """How good a set of predictions is."""

    main: str  # the metric that decides early stopping; more is better
    values: dict[str, float]
    by_label: dict[str, dict[str, float]] = field(default_factory=dict)  # class or entity type -> precision, recall, f1, support


def paired(gold: Sequence[G], predicted: Sequence[P]) -> list[tuple[G, P]]:
    """Gold and predicted, record by record.

    Raises:
        ValueError: there is nothing to score, or one prediction a record is not what was given.
    """
    if not gold:
        raise ValueError("nothing to score: there are no records")
    return list(zip(gold, predicted, strict=True))
