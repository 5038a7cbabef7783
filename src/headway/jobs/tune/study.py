"""What is known of all trials, in a database: one file in the folder of the search, or one that several machines share.

A trial is in one of Optuna's states from the moment it is asked for. What was finished is finished; what a machine has begun and not
finished it takes up again, which the number in its folder tells it.
"""

import json
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from headway.config import Tune
from headway.errors import ConfigError, OutputError
from headway.folders import write_text

STUDY = "study.db"
MACHINE = "machine.txt"  # by what name this folder's trials go in a database that others use too
MADE_WITH = "made with"  # attribute of a study: what all of its trials have in common
PLAN, CHOSEN = "plan", "finalists"  # attributes of a study
OF, SEEN, WHY, SECONDS = "machine", "seen", "why", "seconds"  # attributes of a trial
GIVEN_UP = 900  # seconds after which nobody waits for a trial of another machine
REDUCTION = 3  # one trial in so many goes on at every verdict
FEWEST_RANDOM, MOST_RANDOM = 3, 10  # trials that are drawn before a model of them is
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Plan:
    """What a search has decided to do; kept, so that it goes on with the same."""

    epochs: float
    finalists: int
    trials: int  # that there will probably be
    finals_seconds: float  # that the finals, and what comes after them, need


@dataclass(frozen=True)
class Study:
    """The trials of a search, as one machine sees them."""

    study: optuna.Study
    machine: str
    shared: bool
    seed: int

    def trials(self) -> list[FrozenTrial]:
        """All, in the order in which they were asked for."""
        return self.study.get_trials(deepcopy=False)

    def finished(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state in FINISHED]

    def complete(self) -> list[FrozenTrial]:
        """Trials that were neither pruned nor failed, best first; of those that are level, the earlier one."""
        done = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return sorted(done, key=lambda trial: (-trial.value, trial.number))

    def asked(self) -> int:
        """Trials that have begun, whoever did."""
        return sum(trial.state != TrialState.WAITING for trial in self.trials())

    def taken(self) -> int:
        """Trials that are finished, or that another machine is at."""
        now = time.time()
        begun = (trial for trial in self.trials() if trial.state == TrialState.RUNNING and not self._mine(trial))
        return len(self.finished()) + sum(now - trial.user_attrs.get(SEEN, 0) < GIVEN_UP for trial in begun)

    def begun(self, *, planned: int) -> Trial | None:
        """A trial that this machine has begun and not finished."""
        mine = [trial for trial in self.trials() if trial.state == TrialState.RUNNING and self._mine(trial)]
        if not mine:
            return None
        self._seed(mine[0].number, planned)
        return Trial(self.study, mine[0]._trial_id)

    def ask(self, *, planned: int) -> Trial:
        """A new one, sampled by what is known so far; the same after a stop. `planned` is how many there will be."""
        self._seed(len(self.trials()), planned)
        trial = self.study.ask()
        trial.set_user_attr(OF, self.machine)
        trial.set_user_attr(SEEN, time.time())
        return trial

    def ask_for(self, values: Mapping[str, object], why: str) -> Trial:
        """A new one with these settings."""
        self.study.enqueue_trial(dict(values), user_attrs={WHY: why}, skip_if_exists=True)
        return self.ask(planned=0)  # nothing is sampled

    def tell(self, trial: Trial, *, state: TrialState, value: float | None, seconds: float, why: str | None) -> None:
        """Finish a trial, for good. `why` says what is to be said of it beside its settings."""
        trial.set_user_attr(SECONDS, round(seconds, 3))
        if why is not None:
            trial.set_user_attr(WHY, why)
        self.study.tell(trial, value, state=state)

    def plan(self) -> Plan | None:
        kept = self.study.user_attrs.get(PLAN)
        return kept and Plan(**kept)

    def keep_plan(self, plan: Plan) -> None:
        self.study.set_user_attr(PLAN, asdict(plan))

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
        return not self.shared or trial.user_attrs.get(OF) == self.machine

    def _seed(self, number: int, planned: int) -> None:
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        random = min(max(planned // 4, FEWEST_RANDOM), MOST_RANDOM)
        self.study.sampler = TPESampler(seed=seed, n_startup_trials=random)


def open_study(folder: Path, tune: Tune, made_with: Mapping[str, object], *, evaluations: int, seed: int) -> Study:
    """The study of this folder or database, made where there is none.

    Args:
        made_with: what all its trials have in common, as JSON can hold it.
        evaluations: an epoch: no verdict comes before.

    Raises:
        ConfigError: the database cannot be opened.
        OutputError: the study is one of other data, settings, or another version.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = tune.storage or f"sqlite:///{(folder / STUDY).resolve()}"
    pruner = SuccessiveHalvingPruner(min_resource=evaluations, reduction_factor=REDUCTION)
    try:
        with warnings.catch_warnings(action="ignore"):
            storage = RDBStorage(url)
            study = optuna.create_study(storage=storage, study_name=tune.study, pruner=pruner, direction="maximize", load_if_exists=True)
    except ImportError:
        raise ConfigError(f"tune.storage = {_shown(url)}: the driver of this database is not installed{_driver(url)}") from None
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise ConfigError(f"tune.storage = {_shown(url)}: cannot be opened: {_first_line(error)}") from None
    _check(study, json.loads(json.dumps(made_with)), where=_shown(url) if tune.storage else str(folder))
    return Study(study, _machine(folder), tune.storage is not None, seed)


def _check(study: optuna.Study, made_with: dict, *, where: str) -> None:
    before = study.user_attrs.get(MADE_WITH)
    if before is None:
        study.set_user_attr(MADE_WITH, made_with)
        return
    for name in {**before, **made_with}:
        if before.get(name) != made_with.get(name):
            told = f"{name} = {before.get(name)}, now {made_with.get(name)}"
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
    known = {"postgresql": "psycopg2-binary", "mysql": "pymysql, and write mysql+pymysql://"}
    package = known.get(url.partition(":")[0].partition("+")[0])
    return f": pip install {package}" if package else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
