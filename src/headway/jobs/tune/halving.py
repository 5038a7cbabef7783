"""Which trials go on: after 1, 3, 9, ... epochs the best third of those that got so far.

Asynchronous successive halving, without waiting for others: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning,
arXiv:1810.05934. A verdict is a function of the scores that have been told, and of nothing else: asked again after a crash, it is the same.
"""

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial

REDUCTION = 3  # one trial in so many goes on at every verdict


def is_rung(number: int, *, evaluations: int) -> bool:
    """Whether there is a verdict after this evaluation, counted from 1; `evaluations` is how many there are in an epoch."""
    rung = evaluations
    while rung < number:
        rung *= REDUCTION
    return rung == number


def why_pruned(trial: FrozenTrial, trials: Sequence[FrozenTrial], *, evaluations: int) -> str | None:
    """What there is to say against going on after the last evaluation of a trial; None where there is no verdict, or a good one.

    Args:
        trials: all, this one too; those of the same settings count as one.
    """
    number = max(trial.intermediate_values, default=0)
    if not is_rung(number, evaluations=evaluations):
        return None
    mine = _known(trial.intermediate_values[number])
    by_settings = {str(sorted(t.params.items())): _known(t.intermediate_values[number]) for t in trials if number in t.intermediate_values}
    there = sorted(by_settings.values(), reverse=True)
    if mine >= there[max(len(there) // REDUCTION, 1) - 1]:
        return None
    epochs = number // evaluations
    better = sum(other > mine for other in there)
    return f"after {epochs} {'epoch' if epochs == 1 else 'epochs'} {better} of the {len(there)} that got so far were better"


def _known(value: float) -> float:
    """A score that is not a number is worse than any."""
    return -math.inf if math.isnan(value) else value
