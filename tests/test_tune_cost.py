"""What a search costs: data and network are read once, a verdict ends a trial at once, few trials cost few trainings, a time is kept."""

import math
import random
import time
from contextlib import closing
from functools import partial
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from headway import checkpoint, pretrained
from headway.config import Range, Tune, read_config
from headway.errors import ConfigError
from headway.events import Evaluated, Said, Stepped, Tried
from headway.jobs import corpus
from headway.jobs.pace import FEWEST
from headway.jobs.train import train
from headway.jobs.tune import COST, FEWEST_WINDOWS, _share, tune
from headway.jobs.tune.clock import Deadline
from headway.jobs.tune.halving import why_pruned
from headway.jobs.tune.space import ask, default_values, setting, usual_space
from headway.jobs.tune.study import open_study
from headway.model import Model
from headway.optimize import Optimizer
from headway.tasks.classification import Classification

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad', 'fine', 'late')[n % 4]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(100))


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    plain = ("train.precision=fp32", "train.batch_size=8", "train.patience=0", "audit.allow=all", "split.dev=0.2", "tune.share=1")
    return [f"model.base_model={pretrained_folder('bert')}", *plain]


@pytest.fixture
def reviews(tmp_path):
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path / "reviews.csv"


def trials(job) -> list:
    """What the trials tell, until the finals begin."""
    told = []
    with closing(job):
        for event in job:
            if isinstance(event, Said) and event.topic == "finals":
                break
            told.append(event)
    return told


# --- what is done once, and what is not done any more


def test_data_is_read_and_tokenised_once_and_the_network_loaded_once_for_all_trials(settings, reviews, tmp_path, monkeypatch):
    counts = dict.fromkeys(("read", "tokenised", "loaded"), 0)

    def counted(what, call):
        def count(*given, **more):
            counts[what] += len(given[1]) if what == "tokenised" else 1
            return call(*given, **more)

        return count

    monkeypatch.setattr(corpus, "read", counted("read", corpus.read))
    monkeypatch.setattr(Classification, "windows", counted("tokenised", Classification.windows))
    monkeypatch.setattr(pretrained, "load_whole", counted("loaded", pretrained.load_whole))
    config = read_config(None, [*settings, "train.epochs=1", "tune.trials=8"])
    told = trials(tune(reviews, out=tmp_path / "run", config=config))
    assert sum(isinstance(event, Tried) and event.state in ("done", "pruned") for event in told) == 8
    assert counts == {"read": 1, "tokenised": 100, "loaded": 1}


def test_a_trial_takes_no_further_step_after_the_verdict(settings, reviews, tmp_path):
    """Rates of nearly nothing lose after an epoch."""
    space = 'tune.space={"train.learning_rate"={choices=[0.01, 1e-9, 2e-9, 3e-9]}}'
    given = ["train.epochs=3", "train.learning_rate=0.01", "model.head=random", "tune.trials=8", space]
    told = trials(tune(reviews, out=tmp_path / "run", config=read_config(None, [*settings, *given])))
    pruned = [n for n, event in enumerate(told) if isinstance(event, Tried) and event.state == "pruned" and "better" in event.why]
    assert pruned
    for place in pruned:
        steps = [event for event in told[:place] if isinstance(event, Stepped | Evaluated)]
        assert isinstance(steps[-1], Evaluated)
        assert steps[-1].step == steps[-2].step < steps[-2].steps


# --- how much it is


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 8, 10, 20])
def test_twenty_trials_on_large_data_cost_at_most_five_trainings_in_the_mean(epochs):
    """By the verdicts themselves, of trials that come in any order."""
    share, chance = _share(Tune(), epochs, windows=int(FEWEST_WINDOWS / COST)), random.Random(1)
    costs = [share * sum(lengths_of([chance.random() for _ in range(20)], epochs)) / epochs for _ in range(100)]
    assert fmean(costs) <= 5


def lengths_of(values: list[float], epochs: float) -> list[float]:
    """Epochs that trials get which score this at every evaluation, one after the other."""
    rungs = [rung for rung in (1, 3, 9, 27) if rung < epochs]
    done, lengths = [], []
    for number, value in enumerate(values):
        scores, length = {}, epochs
        for rung in rungs:
            scores[rung] = value
            if why_pruned(trial_of(number, scores), [*done, trial_of(number, scores)], evaluations=1):
                length = rung
                break
        done.append(trial_of(number, scores))
        lengths.append(length)
    return lengths


def trial_of(number: int, scores: dict[int, float]):
    known = {"params": {"a": number}, "distributions": {"a": IntDistribution(0, 30)}}
    return create_trial(state=TrialState.RUNNING, intermediate_values=scores, **known)


# --- what is tried


def test_what_has_scored_well_is_tried_nearby(tmp_path):
    config, space = read_config(None, []), {"train.learning_rate": Range(low=1e-6, high=1e-1, log=True)}
    tried = {}
    for best in (-5, -2):  # as a power of ten
        (tmp_path / str(best)).mkdir()
        study = open_study(tmp_path / str(best), Tune(), {}, plan=None, seed=1)
        tried[best] = []
        for _ in range(25):
            trial = study.begin(partial(ask, space=space, config=config), planned=25, given=None, why=None)
            tried[best].append(math.log10(trial.params["train.learning_rate"]))
            study.tell(trial, state=TrialState.COMPLETE, value=-abs(tried[best][-1] - best), seconds=1.0, why=None)
    assert tried[-5][:6] == tried[-2][:6]  # as long as nothing is known
    assert median(tried[-5][-12:]) == pytest.approx(-5, abs=0.5)
    assert median(tried[-2][-12:]) == pytest.approx(-2, abs=0.5)


@given(st.floats(1e6, 1e9), st.integers(10, 10**6), st.floats(1e-7, 1e-1), st.integers(1, 256), st.booleans())
def test_the_usual_space_holds_the_default_recipe(parameters, windows, rate, batch, numbers):
    config = read_config(None, [f"train.learning_rate={rate}", f"train.batch_size={batch}"])
    space = usual_space(config, parameters=parameters, windows=windows, numbers=numbers)
    assert default_values(space, config) == {name: setting(config, name) for name in space}


def test_the_larger_a_network_the_lower_the_rates_that_are_tried():
    """Where the default is at neither end: it is held in any case."""
    ends = {"low": "1e-3", "high": "1e-7"}
    for end, rate in ends.items():
        config = read_config(None, [f"train.learning_rate={rate}", "train.batch_size=32"])
        spaces = [usual_space(config, parameters=size, windows=5000, numbers=False) for size in (22e6, 110e6, 335e6)]
        small, middle, large = (getattr(space["train.learning_rate"], end) for space in spaces)
        assert small > middle > large


def test_small_data_is_tried_in_smaller_updates_and_large_data_in_larger_ones():
    config = read_config(None, ["train.learning_rate=2e-5", "train.batch_size=32"])
    sizes = [usual_space(config, parameters=22e6, windows=count, numbers=False)["train.batch_size"].choices for count in (500, 5000, 10**5)]
    assert sizes == [[8, 16, 32], [16, 32], [16, 32, 64]]


# --- a time is kept


@pytest.fixture
def virtual(monkeypatch):
    """The clock stands still but for what updates, answers and saving take: no other work on the machine counts. Gives what is spent.

    An update takes 0.05 seconds for each of its windows, and once the pace has been measured so many `times` as much.
    """
    now, updates = [1000.0], iter(range(10**9))

    def taking(call, seconds):
        def take(*given, **more):
            now[0] += seconds(*given)
            return call(*given, **more)

        return take

    def give(*, times=1.0):
        def update(optimizer, step, windows) -> float:
            return 0.05 * len(windows) * (1.0 if next(updates) < FEWEST else times)

        monkeypatch.setattr(Optimizer, "begin", taking(Optimizer.begin, update))
        return lambda: now[0] - 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("headway.jobs.tune.Deadline", partial(Deadline, clock=time.monotonic))
    monkeypatch.setattr(Model, "decisions", taking(Model.decisions, lambda model, windows: 0.01 * len(windows)))
    monkeypatch.setattr(Model, "save", taking(Model.save, lambda *given: 0.1))
    monkeypatch.setattr(checkpoint, "save", taking(checkpoint.save, lambda *given: 0.3))
    return give


@pytest.mark.parametrize("times", [1.0, 1.5])
def test_a_search_keeps_to_its_time(settings, reviews, tmp_path, virtual, times):
    """Also where trainings turn out slower than while the pace was measured."""
    spent = virtual(times=times)
    given = ["train.epochs=1", "train.batch_size=40", "model.head=random", "tune.time=3m", "decide.goldens=0"]
    events = list(tune(reviews, out=tmp_path / "run", config=read_config(None, [*settings, *given])))
    said = {event.topic: event.text for event in events if isinstance(event, Said)}
    assert said["search"].startswith("in 3m, at the pace of this machine: about ")
    assert (tmp_path / "run/scores.json").is_file()
    assert spent() == pytest.approx(180, rel=0.1)


def test_a_search_too_short_for_an_epoch_says_how_long_one_takes_before_there_is_a_folder(settings, reviews, tmp_path, virtual):
    virtual()
    given = ["train.epochs=1", "train.batch_size=40", "tune.time=3s"]
    with pytest.raises(ConfigError, match=r'tune.time = "3s": too short: one epoch takes 0:0[4-9] on this machine'):
        list(tune(reviews, out=tmp_path / "run", config=read_config(None, [*settings, *given])))
    assert not (tmp_path / "run").exists()


def test_a_training_keeps_to_its_time(settings, reviews, tmp_path, virtual):
    spent = virtual()
    list(train(reviews, out=tmp_path / "run", config=read_config(None, [*settings, "train.time=40s", "decide.goldens=0"])))
    assert spent() == pytest.approx(40, rel=0.1)
