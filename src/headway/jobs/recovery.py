"""A loss that is not a number: back to where the weights were good, at half the rate; at most three times, and then it stops and says why.

For fine-tuning and for what an encoder learns before it alike.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from headway.errors import TrainingError
from headway.events import Event, Said
from headway.folders import add_to_log, read_log
from headway.jobs.run_folder import CHECKPOINTS
from headway.jobs.step_log import Diverged

ROLL_BACK = "roll back"  # the topic of what is said
MOST_ROLLBACKS = 3
ROLLBACKS = "rollbacks.jsonl"
RATE = "train.learning_rate"

State = TypeVar("State")


class Rate(NamedTuple):
    """A learning rate, and how often it has been halved since it was asked for."""

    setting: str
    asked: float
    rollbacks: int = 0

    @property
    def now(self) -> float:
        return self.asked / 2**self.rollbacks


class RolledBack(NamedTuple):
    times: int
    learning_rate: float  # since then, at its highest
    text: str
    setting: str = RATE  # that asked for the rate


def recovering(
    state: State, attempt: Callable[[State], Iterator[Event]], back: Callable[[State, Diverged], tuple[State, RolledBack]]
) -> Generator[Event, None, State]:
    """Attempt it until it ends; after each loss that is not a number once more, from the state that `back` gives. Gives the last state."""
    while True:
        try:
            yield from attempt(state)
            return state
        except Diverged as diverged:
            state, rolled = back(state, diverged)
        yield Said(ROLL_BACK, rolled.text, warning=True)


def roll_back(rate: Rate, update: str, *, to: str, kept: str = "") -> RolledBack:
    """What is to be said of going back from an update to where the weights were good, at half the rate.

    Raises:
        TrainingError: that has been done often enough. `kept` is what there is all the same.
    """
    if rate.rollbacks == MOST_ROLLBACKS:
        raise TrainingError(
            f"{update}: the loss is not a number any more, also at a rate of {rate.now:g} after {MOST_ROLLBACKS} roll-backs; "
            f"lower {rate.setting} (it is {rate.asked:g}){kept}"
        )
    lower = rate._replace(rollbacks=rate.rollbacks + 1)
    text = f"{update}: the loss is not a number; back to {to}, at half the rate, {lower.now:g}"
    return RolledBack(lower.rollbacks, lower.now, f"{text} ({lower.rollbacks} of at most {MOST_ROLLBACKS})", rate.setting)


def keep_rollback(folder: Path, rolled: RolledBack) -> None:
    """Beside the checkpoints of a run; one that a crash undoes comes again, and is the same."""
    (folder / CHECKPOINTS).mkdir(exist_ok=True)
    add_to_log(folder / CHECKPOINTS / ROLLBACKS, rolled._asdict())


def read_rollbacks(folder: Path) -> dict[str, RolledBack]:
    """The last of each setting that asked for a rate, as it was said."""
    found = [RolledBack(**line) for line in read_log(folder / CHECKPOINTS / ROLLBACKS)]
    return {rolled.setting: rolled for rolled in sorted(found, key=lambda rolled: rolled.times)}
