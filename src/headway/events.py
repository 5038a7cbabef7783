"""What a long job tells its caller while it runs. Jobs yield these; the command line shows them; nobody else needs to look."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar


@dataclass(frozen=True, slots=True)
class Said:
    """One line about one thing: `topic` is its heading ("reviews.csv", "base model"), `text` what there is to say."""

    topic: str
    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Stepped:
    """Where training stands after an update."""

    step: int
    steps: int  # of the whole run
    epoch: float
    epochs: float
    loss: float  # mean over the targets of the update
    learning_rate: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A dev score in the course of training."""

    step: int
    metric: str
    value: float
    best: bool


class Estimate(NamedTuple):
    """A number, and the interval around it that holds the truth 95 times in 100."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A table of scores: one row a thing scored ("dev", "test", "PER"), one column a metric; a missing cell has no score."""

    title: str
    rows: dict[str, dict[str, float | Estimate]]
    differences: tuple[str, ...] = ()  # the rows that say how much more or less, and so have a sign


@dataclass(frozen=True, slots=True)
class Listed:
    """A table of words: a row has a name, a cell for each column, and a line about it below; "" is an empty cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...], str], ...]


@dataclass(frozen=True, slots=True)
class Worked:
    """How far a piece of work has come that is no training; shown where something can move, and then gone."""

    what: str  # "reading reviews.csv"
    done: int
    total: int | None = None  # None: nobody knows
    unit: str = "rows"


class Standing(NamedTuple):
    """Where a search stands, between two trials."""

    finished: int  # trials
    wanted: int | None  # None: as many as there is time for
    best: int | None  # number of the best trial; None: none has got to its end
    value: float | None  # its score on dev
    seconds_left: float | None  # for all of it; None: nobody knows yet


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial of a search, at its beginning and at its end; in between are the `Stepped` and `Evaluated` of its training."""

    number: int
    state: str  # "running"; then "done", "pruned" or "failed"
    tries: str  # what is not as in the default recipe
    why: str  # it was pruned, say; "" where there is nothing to say
    metric: str
    value: float | None  # its best score on dev
    epochs: float  # that it has had
    standing: Standing


@dataclass(frozen=True, slots=True)
class Finished:
    folder: Path


Result = TypeVar("Result")
Working = Generator[Worked, None, Result]  # work that tells how far it has come, and gives its result at the end


def unwatched(work: Working[Result]) -> Result:
    """The result, for those who do not look on."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


Event = Said | Stepped | Evaluated | Scored | Tried | Listed | Worked | Finished


def relay(events: Generator[Event], through: Callable[[Event], Iterable[Event]]) -> Iterator[Event]:
    """What `through` makes of each event: itself, others, or none.

    As with `yield from`, a KeyboardInterrupt that is thrown in at a `yield` goes to the job behind it, and what that says of its end is
    relayed as well.
    """
    with closing(events):
        event = next(events, None)
        while event is not None:
            try:
                yield from through(event)
            except KeyboardInterrupt as interrupt:
                event = events.throw(interrupt)
            else:
                event = next(events, None)
