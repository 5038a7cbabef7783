"""What is known of all trials, in a database: one file in the folder of the search, or one that several machines share.

A trial is born with all its settings and is running from then on, in one transaction: a kill leaves it whole or not there. What was
finished is finished; what a machine has begun and not finished it takes up again, which the number in its folder tells it.

Machines that share a database share its trials. The one that has made the study also makes the finals, so that the test set is opened
once; where it is, the others say.
"""

import json
import random
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from headway.config import Tune
from headway.errors import ConfigError, HeadwayError, OutputError
from headway.folders import write_text

STUDY = "study.db"
MACHINE = "machine.txt"  # by what name this folder's trials go in a database that others use too
MADE_WITH = "made with"  # attribute of a study: what all of its trials have in common
PLAN, CHOSEN, MAKER, WHERE = "plan", "finalists", "maker", "where"  # attributes of a study
OF, SEEN, METRIC, WHY, SECONDS, WITHDRAWN = "machine", "seen", "metric", "why", "seconds", "withdrawn"  # attributes of a trial
GIVEN_UP = 900  # seconds after which nobody waits for a trial of another machine
PATIENCE = 10.0  # seconds that the machine which makes a study has to say what with
TRIES = 5  # to make tables that another machine is making at the same moment
FEWEST_RANDOM, MOST_RANDOM = 3, 10  # trials that are drawn before a model of them is
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Plan:
    """What a search has decided to do; kept, so that it goes on with the same."""

    epochs: float
    finalists: int
    trials: int  # that there will probably be
    finals_seconds: float  # that the finals, and what comes after them, need
    epoch_seconds: float  # that an epoch of a trial takes
    answer_seconds: float  # that comes after the finals, and is in `finals_seconds`


@dataclass(frozen=True)
class Study:
    """The trials of a search, as one machine sees them."""

    study: optuna.Study
    url: str  # of the database
    machine: str
    shared: bool
    seed: int

    def trials(self) -> list[FrozenTrial]:
        """All, in the order in which they were begun."""
        return self.study.get_trials(deepcopy=False)

    def finished(self) -> list[FrozenTrial]:
        """What has been tried; a trial that was withdrawn has not."""
        return [trial for trial in self.trials() if trial.state in FINISHED and WITHDRAWN not in trial.user_attrs]

    def complete(self) -> list[FrozenTrial]:
        """Trials that were neither pruned nor failed, best first; of those that are level, the earlier one."""
        done = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return sorted(done, key=lambda trial: (-trial.value, trial.number))

    def taken(self, *, below: int | None = None) -> int:
        """Trials that are finished, or that another machine is at; of those alone whose number is below."""
        there = [*self.finished(), *self.elsewhere()]
        return sum(below is None or trial.number < below for trial in there)

    def elsewhere(self) -> list[FrozenTrial]:
        """Trials that other machines are at, as far as they have given a sign of life."""
        begun = [trial for trial in self.trials() if trial.state == TrialState.RUNNING and not self._mine(trial)]
        return [trial for trial in begun if time.time() - trial.user_attrs[SEEN] < GIVEN_UP]

    def begun(self) -> Trial | None:
        """A trial that this machine has begun and not finished."""
        mine = [trial for trial in self.trials() if trial.state == TrialState.RUNNING and self._mine(trial)]
        return Trial(self.study, mine[0]._trial_id) if mine else None

    def begin(self, ask: Callable[[Trial], object], *, planned: int, given: Mapping[str, object] | None, why: str | None) -> Trial:
        """A new trial with the settings that `ask` takes from it, sampled by what is known so far, or those that are given.

        It is a function of the seed, of its number and of what has been finished, so that it is the same after a stop.

        Args:
            planned: how many trials there will be.
            why: what there is to say of it from its beginning.
        """
        known = [*self.finished(), *self.elsewhere()]
        number = len(self.trials())
        own = int(self.machine, 16) if self.shared else 0  # machines that ask at the same moment are not to try the same
        seed = int(np.random.SeedSequence((self.seed, number, own)).generate_state(1)[0])
        drawn = min(max(planned // 4, FEWEST_RANDOM), MOST_RANDOM)
        aside = optuna.create_study(sampler=TPESampler(seed=seed, n_startup_trials=drawn), direction="maximize")
        aside.add_trials(known)
        if given is not None:
            aside.enqueue_trial(dict(given))
        sampled = aside.ask()
        ask(sampled)
        about = {OF: self.machine, SEEN: time.time()} | ({} if why is None else {WHY: why})
        born = create_trial(state=TrialState.RUNNING, params=sampled.params, distributions=sampled.distributions, user_attrs=about)
        self.study.add_trial(born)
        return self.begun()

    def tell(self, trial: Trial, *, state: TrialState, value: float | None, seconds: float, why: str | None) -> None:
        """Finish a trial, for good. `why` says what is to be said of it beside its settings."""
        trial.set_user_attr(SECONDS, round(seconds, 3))
        if why is not None:
            trial.set_user_attr(WHY, why)
        self.study.tell(trial, value, state=state)

    def withdraw(self, trial: Trial, why: str) -> None:
        """End a trial that need not be: it counts for nothing."""
        trial.set_user_attr(WITHDRAWN, True)
        self.tell(trial, state=TrialState.FAIL, value=None, seconds=0.0, why=why)

    def plan(self) -> Plan | None:
        kept = self.study.user_attrs.get(PLAN)
        return kept and Plan(**kept)

    def keep_plan(self, plan: Plan) -> None:
        self.study.set_user_attr(PLAN, asdict(plan))

    def makes_finals(self) -> bool:
        """Whether this machine does."""
        return self.study.user_attrs[MAKER] == self.machine

    def where(self) -> str:
        """The folder that the finals are made in, and on which machine."""
        return self.study.user_attrs[WHERE]

    def finalists(self) -> list[FrozenTrial]:
        """Those that were chosen; none as long as trials go on."""
        trials = self.trials()
        return [trials[number] for number in self.study.user_attrs.get(CHOSEN, [])]

    def choose(self, chosen: Sequence[FrozenTrial]) -> None:
        """End the search: from now on there are finals."""
        self.study.set_user_attr(CHOSEN, [trial.number for trial in chosen])

    def spent(self) -> float:
        """Seconds of the trials that are finished."""
        return sum(trial.user_attrs.get(SECONDS, 0.0) for trial in self.finished() if self._mine(trial))

    def _mine(self, trial: FrozenTrial) -> bool:
        return trial.user_attrs[OF] == self.machine


def open_study(folder: Path, tune: Tune, made_with: Mapping[str, object], *, plan: Plan | None, seed: int) -> Study:
    """The study of this folder or database, made where there is none.

    Args:
        made_with: what all its trials have in common, as JSON can hold it.
        plan: of a study that has none yet.

    Raises:
        ConfigError: the database cannot be opened.
        OutputError: the study is one of other data, settings, or another version.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url, machine = tune.storage or f"sqlite:///{(folder / STUDY).resolve()}", _machine(folder)
    with of_database(url, error=ConfigError, what="cannot be opened: "):
        storage = _storage(url)
        found, is_new = _create_or_load(storage, tune.study)
        if not is_new and tune.storage is not None:
            _wait_for(found, MAKER)
        about = {MADE_WITH: json.loads(json.dumps(made_with)), PLAN: plan and asdict(plan), MAKER: machine}
        where = _shown(url) if tune.storage else str(folder)
        _make_or_check(found, {WHERE: f"{folder.resolve()} on {socket.gethostname()}", **about}, where=where)
    return Study(found, url, machine, tune.storage is not None, seed)


def _make_or_check(study: optuna.Study, about: dict, *, where: str) -> None:
    """Say of a study what it is made with, by whom last, or compare that with what was said before."""
    if MAKER in study.user_attrs:
        _check(study.user_attrs[MADE_WITH], about[MADE_WITH], where=where)
        return
    if study.get_trials(deepcopy=False):  # else it is new, or whoever made it was killed then and there
        raise OutputError(f"{where}: the study {study.study_name} was not made by headway; choose another tune.study")
    for name, value in about.items():
        study.set_user_attr(name, value)


@contextmanager
def of_database(url: str, *, error: type[HeadwayError], what: str = "", hint: str = "") -> Iterator[None]:
    """What goes wrong between us and the database, in one line: what could not be done, why, and what to do."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as fault:
        raise error(f"tune.storage = {_shown(url)}: {what}{_first_line(fault)}{hint}") from None


def _storage(url: str) -> RDBStorage:
    """With its tables, which another machine may be making at this moment.

    Raises:
        ConfigError: it can never be opened from here.
    """
    where = f"tune.storage = {_shown(url)}"
    for left in reversed(range(TRIES)):
        try:
            with warnings.catch_warnings(action="ignore"):
                return RDBStorage(url, engine_kwargs={"poolclass": NullPool})  # a connection is closed as soon as it is not needed
        except ImportError:
            raise ConfigError(f"{where}: the driver of this database is not installed{_driver(url)}") from None
        except NoSuchModuleError:
            known = "sqlite:///FILE, postgresql://USER@HOST/NAME or mysql+pymysql://USER@HOST/NAME"
            raise ConfigError(f"{where}: no such kind of database; expected {known}") from None
        except RuntimeError as fault:  # that is how Optuna tells of tables of another version
            raise ConfigError(f"{where}: {_first_line(fault)}") from None
        except (IntegrityError, ProgrammingError):
            if not left:
                raise
            time.sleep(random.random())
    raise AssertionError


def _create_or_load(storage: RDBStorage, name: str) -> tuple[optuna.Study, bool]:
    """The study, and whether it is new: of several machines one has made it."""
    sampler = RandomSampler()  # never asked: trials are sampled aside
    try:
        return optuna.create_study(storage=storage, study_name=name, direction="maximize", sampler=sampler), True
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=storage, study_name=name, sampler=sampler), False


def _wait_for(study: optuna.Study, name: str) -> None:
    """Until the machine that makes a study has said this of it, or seems to be gone."""
    until = time.monotonic() + PATIENCE
    while name not in study.user_attrs and time.monotonic() < until:
        time.sleep(0.1)


def _check(before: dict, now: dict, *, where: str) -> None:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            told = f"{name} = {before.get(name)}, now {now.get(name)}"
            raise OutputError(f"{where}: this search was made with {told}; choose another --out, or another tune.study")


def _machine(folder: Path) -> str:
    if not (folder / MACHINE).is_file():
        write_text(folder / MACHINE, uuid.uuid4().hex)
    return (folder / MACHINE).read_text(encoding="utf-8")


def _shown(url: str) -> str:
    """Without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return url


def _driver(url: str) -> str:
    installs = {"postgresql": 'pip install "headway[postgres]"', "mysql": "pip install pymysql, and write mysql+pymysql://"}
    command = installs.get(url.partition(":")[0].partition("+")[0])
    return f": {command}" if command else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
