"""What fits into a time: how many epochs, how many finalists, and until when trials may go on."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from headway.config import Tune
from headway.errors import ConfigError
from headway.jobs.pace import KEPT_BACK, Pace, clock_words
from headway.jobs.tune.halving import REDUCTION
from headway.jobs.tune.study import Plan

MOST_FINALS = 0.6  # of what is left, for the finals
FEWEST_EPOCHS = 1.0
MOST_OFF = 2.0  # times as slow as planned, or as fast, that is believed
STEPS = 20  # that epochs are lowered by, until all fits
MANY = 1000  # trials, of which as good as one in REDUCTION goes on


@dataclass(frozen=True)
class Deadline:
    """When all has to end. Without a time, never."""

    seconds: float = math.inf  # from now on
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "begun", self.clock())

    def left(self) -> float:
        return self.seconds - (self.clock() - self.begun)


def reserve(plan: Plan, *, seconds: float, epochs: float) -> float:
    """Seconds that the finals need, as the plan has them, by how much faster or slower trials were than it has them.

    Args:
        seconds: that trials have taken so far.
        epochs: that they have learned for it.
    """
    if not epochs or not plan.epoch_seconds:
        return plan.finals_seconds
    pace = seconds / epochs / plan.epoch_seconds
    return plan.finals_seconds * min(max(pace, 1 / MOST_OFF), MOST_OFF)


def plan(pace: Pace, tune: Tune, *, seconds: float, epochs: float, evaluations: int, share: Callable[[float], float]) -> Plan:
    """As many finalists as wanted and the epochs of the default recipe where that fits; else two finalists, then fewer epochs.

    Args:
        seconds: that are left.
        epochs: of the default recipe.
        share: epochs -> of the records that a trial learns from.

    Raises:
        ConfigError: the time is too short for one epoch, or for a search of one epoch each.
    """
    one = pace.training(FEWEST_EPOCHS, evaluations=evaluations)
    if seconds < one:
        raise ConfigError(f'tune.time = "{tune.time}": too short: one epoch takes {clock_words(one)} on this machine')
    lowest, answers = min(FEWEST_EPOCHS, epochs), pace.ending()
    for step in range(STEPS + 1):
        tried = max(epochs - (epochs - lowest) * step / STEPS, lowest)
        fewest = 1 if step == STEPS else min(tune.finalists, 2)  # a choice between two is worth more than epochs
        for finalists in range(tune.finalists, fewest - 1, -1):
            final = finalists * tune.seeds * _run(pace, tried, evaluations) + answers
            trial = pace.training(tried, evaluations=evaluations, share=share(tried))
            left = seconds * (1 - KEPT_BACK) - final
            enough = finalists if finalists > 1 else 2
            if final <= MOST_FINALS * seconds and left >= enough * trial:
                return Plan(tried, finalists, _affordable(left / trial, epochs=tried), final, trial / tried, answers)
    needed = (tune.seeds * _run(pace, lowest, evaluations) + answers) / MOST_FINALS
    text = f"a search of one epoch a training takes {clock_words(needed)} or more on this machine, one epoch {clock_words(one)}"
    raise ConfigError(f'tune.time = "{tune.time}": too short: {text}; headway train --time {tune.time} makes one training')


def _run(pace: Pace, epochs: float, evaluations: int) -> float:
    """One of the finals: trained, loaded again, and asked about dev once more."""
    return pace.training(epochs, evaluations=evaluations) + pace.evaluation + pace.saving


def _affordable(whole: float, *, epochs: float) -> int:
    """How many trials cost no more than so many whole ones would; the more they are, the less each costs."""
    trials = max(int(whole), 1)
    while (more := int(whole / mean_cost(epochs, trials=trials))) > trials:
        trials = more
    return trials


def mean_cost(epochs: float, *, trials: int) -> float:
    """Of a whole trial, that pruning leaves in the mean of so many, where they come in any order."""
    spent, rung, there = trials * min(1.0, epochs), 1.0, _going_on(trials)
    while rung < epochs:
        spent += there * (min(rung * REDUCTION, epochs) - rung)
        rung, there = rung * REDUCTION, _going_on(there)
    return spent / epochs / trials


def _going_on(arrived: float) -> float:
    """How many of those that get to a verdict go on: the nth where it is among the best n/REDUCTION so far, and the first always."""
    few = min(arrived, MANY)
    chances = [max(number // REDUCTION, 1) / number for number in range(1, math.ceil(few) + 1)]
    return sum(chances[: int(few)]) + (few % 1) * chances[-1] + (arrived - few) / REDUCTION
