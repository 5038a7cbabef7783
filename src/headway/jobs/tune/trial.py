"""One trial: the same training as any other, from the same weights, stopped where a verdict says so, and told to the study."""

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optuna.trial import FrozenTrial, Trial, TrialState

from headway.config import Config, Tune, with_settings
from headway.errors import ConfigError, TrainingError
from headway.events import Evaluated, Event, Said, Standing, Stepped, Tried, Worked, relay
from headway.folders import put_back
from headway.jobs.corpus import Corpus
from headway.jobs.learning import STOPPED, learn
from headway.jobs.pristine import Pristine
from headway.jobs.recovery import ROLL_BACK
from headway.jobs.run_folder import CHECKPOINTS, FITTED_HEAD, MODEL
from headway.jobs.tune.clock import Deadline, reserve
from headway.jobs.tune.halving import why_pruned
from headway.jobs.tune.space import Space, Value, ask, default_values, grid
from headway.jobs.tune.study import METRIC, SECONDS, SEEN, WHY, Plan, Study
from headway.jobs.tune.words import settings_words
from headway.packing import Order
from headway.records import Window

TRIALS = "trials"
TRIALS_WITHOUT_TIME = 20
FEWEST_SEARCHED = 8
BEAT = 15  # seconds between two signs of life, for the machines that share a database
DEFAULT, ANOTHER_RATE = "the default recipe", "another rate"  # why a trial was made that nobody has sampled


@dataclass(frozen=True)
class Search:
    """All that trials have in common."""

    study: Study
    space: Space
    pristine: Pristine
    corpus: Corpus
    base: Config  # the default recipe, with nothing left to decide
    tune: Tune
    windows: list[Window]  # that trials learn from
    folder: Path
    plan: Plan
    deadline: Deadline

    @property
    def records(self) -> int:
        """That trials learn from."""
        return len({window.record for window in self.windows})

    def first(self) -> dict[str, Value]:
        """What the default recipe is in this space."""
        return default_values(self.space, self.base)


def count_of(tune: Tune) -> int:
    """Trials that are wanted."""
    return tune.trials or TRIALS_WITHOUT_TIME


def search_all(search: Search) -> Iterator[Event]:
    """Make trials until there are enough: those that were begun, the default recipe, and what promises most.

    Few trials are no search: they go through learning rates. A space that a person has thought of is sampled in any case.
    """
    study = search.study
    count = search.tune.trials or (math.inf if search.tune.time else TRIALS_WITHOUT_TIME)
    planned = int(min(count, search.plan.trials))
    few = grid(search.space, search.base, count=planned) if planned < FEWEST_SEARCHED and not search.tune.space else [search.first()]
    while not study.finalists():
        trial, number = study.begun(), len(study.trials())
        if trial is None and (study.taken() >= count or (number and out_of_time(search))):
            break
        if trial is None:
            given, why = (few[number], ANOTHER_RATE if number else DEFAULT) if number < len(few) else (None, None)
            trial = study.begin(partial(ask, space=search.space, config=search.base), planned=planned, given=given, why=why)
        yield from run_trial(search, trial, count=count)
    while study.makes_finals() and study.elsewhere() and not study.finalists() and not out_of_time(search):
        yield Worked("waiting for the trials of other machines", 0)
        time.sleep(1)


def needed(search: Search) -> float:
    """Seconds that have to be left for the finals."""
    seconds, epochs = _spent(search, search.study.finished())
    return reserve(search.plan, seconds=seconds, epochs=epochs)


def out_of_time(search: Search) -> bool:
    """Whether the finals have to begin."""
    return search.deadline.left() < needed(search)


def _spent(search: Search, finished: list[FrozenTrial]) -> tuple[float, float]:
    """Seconds that those trials have taken, and epochs that they had for it."""
    rows = [(trial.user_attrs[SECONDS], _epochs(search, trial)) for trial in finished if trial.user_attrs.get(SECONDS)]
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


class Verdict(Exception):
    """A trial does not go on; it says why."""


def run_trial(search: Search, trial: Trial, *, count: float) -> Iterator[Event]:
    """Train, report every evaluation, and finish the trial: it is complete, pruned, or as good as one that had the same settings.

    Where `count` trials are taken by now, or another machine is at the same one, it is withdrawn.
    """
    study = search.study
    if reason := _needless(study, trial, count=count):
        study.withdraw(trial, reason)
        return
    if twin := _twin(study.finished(), trial):
        _tell_as(study, trial, twin)
    else:
        yield _tried(search, trial.number, count=count)
        watch = Watch(search, trial)
        state, why = yield from _trained(search, trial, watch)
        seconds = time.monotonic() - watch.started
        study.tell(trial, state=state, value=watch.best() if state == TrialState.COMPLETE else None, seconds=seconds, why=why)
        tidy(search.folder / TRIALS / str(trial.number))
    yield _tried(search, trial.number, count=count)


def _trained(search: Search, trial: Trial, watch: "Watch") -> Iterator[Event]:
    """Gives the state that the trial ends in, and why where it did not complete."""
    folder, shared = search.folder / TRIALS / str(trial.number), search.folder / TRIALS / FITTED_HEAD
    head = folder / CHECKPOINTS / FITTED_HEAD
    head.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder / MODEL)
    try:
        started = search.pristine.restored(with_settings(search.base, trial.params), search.corpus.train, search.windows)
        watch.order = Order(len(started.train), started.config.train.batch_size, started.config.train.seed)
        watch.judge()  # it may have been stopped between a report and the verdict
        same_head = not any(name.startswith("model.") for name in search.space)
        if same_head and shared.is_file() and not head.is_file():
            shutil.copyfile(shared, head)
        yield from relay(learn(started, folder), watch.see)
        if same_head and head.is_file():
            head.replace(shared)
    except Verdict as verdict:
        return TrialState.PRUNED, str(verdict)
    except (ConfigError, TrainingError) as error:
        return TrialState.FAIL, str(error)
    return (TrialState.COMPLETE, None) if watch.best() is not None else (TrialState.FAIL, "its score is not a number")


class Watch:
    """Reports what a training scores, and ends it by a `Verdict`."""

    def __init__(self, search: Search, trial: Trial):
        self.search, self.trial = search, trial
        self.order: Order | None = None  # known when the trial has its windows
        self.started = self.beat = time.monotonic()
        self.reserve = needed(search)

    def reported(self) -> dict[int, float]:
        """Evaluation, counted from 1, -> score."""
        return self._so_far().intermediate_values

    def best(self) -> float | None:
        """As a training keeps its best model."""
        return max((value for value in self.reported().values() if math.isfinite(value)), default=None)

    def see(self, event: Event) -> Iterator[Event]:
        match event:
            case Stepped():
                self._live()
                yield event
                if self.search.deadline.left() < self.reserve and self.search.study.complete():
                    raise Verdict("there was no more time for trials")
            case Evaluated():
                self._report(event)
                yield event
                self.judge()
            case Worked():
                yield event
            case Said(topic=topic) if topic == ROLL_BACK:
                raise Verdict(event.text.partition(";")[0])
            case Said(topic=topic) if topic == STOPPED:
                yield Said(STOPPED, f"in trial {self.trial.number}, saved. Go on with: headway tune --resume {self.search.folder}")

    def judge(self) -> None:
        """Raise Verdict where the best third is better; after the last evaluation there is nothing to save."""
        so_far, evaluations = self._so_far(), self.search.base.train.evaluations
        if self._number(self._steps()) not in so_far.intermediate_values and (
            reason := why_pruned(so_far, self.search.study.trials(), evaluations=evaluations)
        ):
            raise Verdict(reason)

    def _so_far(self) -> FrozenTrial:
        return self.search.study.trials()[self.trial.number]

    def _report(self, event: Evaluated) -> None:
        number = self._number(event.step)
        if number not in self.reported():  # a training that goes on from a checkpoint makes some evaluations again
            self.trial.set_user_attr(METRIC, event.metric)
            self.trial.report(event.value, number)

    def _number(self, step: int) -> int:
        """Of the evaluation after this update, counted from 1."""
        times, per_epoch = self.search.base.train.evaluations, self.order.updates_per_epoch
        return math.ceil(step * times / per_epoch) if step == self._steps() else max(step * times // per_epoch, 1)

    def _steps(self) -> int:
        epochs = self.trial.params.get("train.epochs", self.search.base.train.epochs)
        return max(round(self.order.updates_per_epoch * epochs), 1)

    def _live(self) -> None:
        if self.search.study.shared and time.monotonic() - self.beat > BEAT:
            self.trial.set_user_attr(SEEN, time.time())
            self.beat = time.monotonic()
            if self.search.study.finalists():
                raise Verdict("the finals have begun")


def tidy(folder: Path) -> None:
    """Leave the log of a trial: its weights are not needed any more."""
    for name in (MODEL, CHECKPOINTS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _needless(study: Study, trial: Trial, *, count: float) -> str | None:
    """Why a trial that was begun is not to be made: of machines that begin one at the same moment, the later ones see the earlier."""
    if twin := _twin(study.elsewhere(), trial):
        return f"another machine is at trial {twin.number}, which has the same settings"
    return "there were enough trials" if study.taken(below=trial.number) >= count else None


def _twin(trials: list[FrozenTrial], trial: Trial) -> FrozenTrial | None:
    """An earlier trial that had the same settings, and so would be made twice."""
    return next((other for other in trials if other.number < trial.number and other.params == trial.params), None)


def _tell_as(study: Study, trial: Trial, twin: FrozenTrial) -> None:
    known = study.trials()[trial.number].intermediate_values
    for number, value in twin.intermediate_values.items():
        if number not in known:
            trial.report(value, number)
    trial.set_user_attr(METRIC, twin.user_attrs.get(METRIC, ""))
    value = twin.value if twin.state == TrialState.COMPLETE else None
    study.tell(trial, state=twin.state, value=value, seconds=0.0, why=f"the same settings as trial {twin.number}")


# --- told


STATES = {TrialState.RUNNING: "running", TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def _tried(search: Search, number: int, *, count: float) -> Tried:
    """A trial as it stands now."""
    trial = search.study.trials()[number]
    known = {name: value for name, value in trial.intermediate_values.items() if math.isfinite(value)}
    return Tried(
        number=number,
        state=STATES[trial.state],
        tries=_changes(search, trial),
        why=trial.user_attrs.get(WHY, ""),
        metric=next((other.user_attrs[METRIC] for other in search.study.trials() if METRIC in other.user_attrs), ""),
        value=max(known.values(), default=None),
        epochs=_epochs(search, trial),
        standing=_standing(search, count=count),
    )


def _changes(search: Search, trial: FrozenTrial) -> str:
    first = search.first()
    return settings_words({name: value for name, value in trial.params.items() if name not in first or value != first[name]})


def _epochs(search: Search, trial: FrozenTrial) -> float:
    """That it has had, as far as they ended in an evaluation."""
    had = max(trial.intermediate_values, default=0) / search.base.train.evaluations
    return min(had, trial.params.get("train.epochs", search.base.train.epochs))


def _standing(search: Search, *, count: float) -> Standing:
    finished, best = search.study.finished(), search.study.complete()
    return Standing(
        finished=len(finished),
        wanted=None if math.isinf(count) else int(count),
        best=best[0].number if best else None,
        value=best[0].value if best else None,
        seconds_left=_seconds_left(search, finished, count=count),
    )


def _seconds_left(search: Search, finished: list[FrozenTrial], *, count: float) -> float | None:
    """Until the finals end, by the trials so far; without those, and without a deadline, nobody knows."""
    if not math.isinf(search.deadline.seconds):
        return max(search.deadline.left(), 0.0)
    seconds, epochs = _spent(search, finished)
    if not epochs:
        return None
    final = search.base.train.epochs * seconds / epochs * len(search.corpus.train) / search.records
    return seconds / len(finished) * max(count - len(finished), 0) + search.tune.finalists * search.tune.seeds * final
