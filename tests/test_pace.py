"""--time: what fits into it, by the pace of this machine, for one training and for a search."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway.config import Tune, read_config
from headway.errors import ConfigError
from headway.events import Said, unwatched
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.pace import ANSWERS, FEWEST, Pace, clock_words, fitting_seconds, measuring, seconds_of
from headway.jobs.pristine import keep_pristine
from headway.jobs.start import start
from headway.jobs.train import train
from headway.jobs.tune import tune
from headway.jobs.tune.clock import MOST_FINALS, MOST_OFF, Deadline, mean_cost, plan, reserve
from headway.probe import MOST_WINDOWS

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad', 'fine', 'late')[n % 4]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(100))


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    plain = ("train.precision=fp32", "train.batch_size=8", "train.patience=0", "audit.allow=all", "split.dev=0.2")
    return [f"model.base_model={pretrained_folder('bert')}", *plain]


@pytest.fixture
def reviews(tmp_path):
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path / "reviews.csv"


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800), ("1m30s", 90)])
def test_a_time_is_read(text, seconds):
    assert seconds_of(text, name="train.time") == seconds


@pytest.mark.parametrize("text", ["30", "m", "half an hour", "30 m", "", "1h-5m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match=r'train.time = ".*": expected a time such as 30m, 90s, 2h or 1h30m'):
        seconds_of(text, name="train.time")


def test_a_time_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="expected a time over 0"):
        seconds_of("0m", name="tune.time")


# --- a search


PACES = st.builds(Pace, epoch=st.floats(0.01, 1e4), evaluation=st.floats(0, 100), start=st.floats(0, 60), saving=st.floats(0, 10))


@given(PACES, st.floats(1, 1e6), st.floats(1, 10))
def test_what_is_planned_fits_into_the_time(pace, seconds, epochs):
    tuning = Tune(time="1h")
    try:
        planned = plan(pace, tuning, seconds=seconds, epochs=epochs, evaluations=1, share=lambda _: 1.0)
    except ConfigError:
        return  # what is said then is tested below
    run = pace.training(planned.epochs, evaluations=1)
    finals = planned.finalists * tuning.seeds * run
    assert finals <= planned.finals_seconds <= MOST_FINALS * seconds
    trials = planned.trials * run * mean_cost(planned.epochs, trials=planned.trials)
    assert planned.finals_seconds + trials <= seconds or planned.trials == 1
    assert 1 <= planned.epochs <= epochs
    assert 1 <= planned.finalists <= tuning.finalists


@given(PACES, st.floats(1, 10))
def test_more_time_is_never_planned_to_give_less(pace, epochs):
    plans = []
    for power in range(24):
        try:
            plans.append(plan(pace, Tune(time="1h"), seconds=2.0**power, epochs=epochs, evaluations=1, share=lambda _: 1.0))
        except ConfigError:
            assert not plans
    for less, more in pairwise(plans):
        assert more.epochs >= less.epochs - 1e-9
        assert more.epochs > less.epochs or more.finalists >= less.finalists


def test_a_time_too_short_for_an_epoch_says_how_long_one_takes():
    pace = Pace(epoch=190.0, evaluation=10.0, start=0.0)
    with pytest.raises(ConfigError, match=r'tune.time = "2m": too short: one epoch takes 3:20 on this machine'):
        plan(pace, Tune(time="2m"), seconds=120, epochs=3, evaluations=1, share=lambda _: 1.0)
    with pytest.raises(
        ConfigError, match=r"a search of one epoch a training takes 18:\d\d or more on this machine, one epoch 3:20; headway train"
    ):
        plan(pace, Tune(time="6m"), seconds=360, epochs=3, evaluations=1, share=lambda _: 1.0)


def test_halving_leaves_of_many_trials_what_one_in_three_goes_on_to():
    many = 10**5
    assert mean_cost(1, trials=many) == 1
    assert mean_cost(3, trials=many) == pytest.approx((1 + 2 / 3) / 3, rel=1e-3)
    assert mean_cost(10, trials=many) == pytest.approx((1 + 2 / 3 + 6 / 9 + 1 / 27) / 10, rel=1e-3)


def test_of_few_trials_more_go_on_as_the_first_always_do():
    assert mean_cost(10, trials=1) == 1
    assert mean_cost(3, trials=2) == pytest.approx((3 + (1 + 3) / 2) / 6)  # the second is better with a chance of one half


@given(PACES, st.floats(1, 10), st.floats(0.1, 10))
def test_what_finals_need_follows_the_pace_of_the_trials(pace, epochs, slower):
    planned = plan(pace, Tune(time="1h"), seconds=1e9, epochs=epochs, evaluations=1, share=lambda _: 1.0)
    assert reserve(planned, seconds=0.0, epochs=0.0) == planned.finals_seconds  # nothing is known yet
    assert reserve(planned, seconds=3 * planned.epoch_seconds, epochs=3.0) == pytest.approx(planned.finals_seconds)
    times = reserve(planned, seconds=slower * planned.epoch_seconds, epochs=1.0) / planned.finals_seconds
    assert times == pytest.approx(min(max(slower, 1 / MOST_OFF), MOST_OFF))


def test_a_deadline_is_over_when_its_seconds_are():
    now = 5.0
    deadline = Deadline(10.0, clock=lambda: now)
    assert deadline.left() == 10
    now = 15.0
    assert deadline.left() == 0
    assert math.isinf(Deadline().seconds)


# --- the measuring


def started_on(reviews, *settings):
    config = read_config(None, settings)
    files = find_files(config, data=reviews, dev=None, test=None)
    corpus = read_corpus(files, config)
    return start(corpus, config), corpus.train


def test_the_pace_of_gradual_unfreezing_is_that_of_updates_in_which_all_learn(settings, reviews):
    started, records = started_on(reviews, *settings, "regularize.unfreezing=0.9", "train.epochs=10")
    job, updates = measuring(keep_pristine(started), records, seconds=10.0), 0
    for _ in job:
        assert all(weight.requires_grad for weight in started.model.encoder.network.parameters())
        assert not started.model.encoder.table().sparse  # as with unfreezing itself
        updates += 1
    assert updates >= FEWEST


@pytest.mark.parametrize("dev", ["split.dev=0", "split.dev=0.2"])
def test_a_head_that_is_fitted_takes_time_with_and_without_a_dev_set(settings, reviews, monkeypatch, dev):
    counted = []
    monkeypatch.setattr("headway.jobs.pace.fitting_seconds", lambda answer, windows: counted.append((answer, windows)) or 1000.0)
    started, records = started_on(reviews, *settings, "model.head=fitted", "train.epochs=1", dev)
    found = unwatched(measuring(keep_pristine(started), records, seconds=10.0))
    [(answer, windows)] = counted
    assert answer > 0
    assert windows == len(started.train)
    assert found.start > 1000
    assert found.evaluation == pytest.approx(answer * len(started.dev))


@given(st.floats(0, 1), st.integers(0, 10**7))
def test_a_head_is_fitted_on_no_more_windows_than_it_reads(answer, windows):
    assert fitting_seconds(answer, windows) == answer * min(windows, MOST_WINDOWS)


@given(PACES, st.integers(1, 4))
def test_a_training_saves_its_model_after_every_evaluation_and_where_to_go_on_at_its_end(pace, evaluations):
    one, two = (pace.training(epochs, evaluations=evaluations) for epochs in (1, 2))
    assert two - one == pytest.approx(pace.epoch + evaluations * (pace.evaluation + pace.saving), abs=1e-6)
    assert one - (two - one) == pytest.approx(pace.start + 3 * pace.saving, abs=1e-6)


def test_what_saving_takes_is_measured(settings, reviews):
    started, records = started_on(reviews, *settings, "train.epochs=1")
    assert unwatched(measuring(keep_pristine(started), records, seconds=10.0)).saving > 0


# --- one training


def test_a_training_by_time_is_one_of_the_epochs_that_fit(settings, reviews, tmp_path):
    events = list(train(reviews, out=tmp_path / "run", config=read_config(None, [*settings, "train.time=8s"])))
    kept = read_config(tmp_path / "run/run.toml").train
    assert kept.time is None
    [told] = [event.text for event in events if isinstance(event, Said) and event.topic == "time"]
    assert told.startswith(f"{kept.epochs:g} epochs fit into 8s, at 0:0")
    list(train(out=tmp_path / "again", config=read_config(tmp_path / "run/run.toml")))
    weights = [tmp_path / name / "model/model.safetensors" for name in ("run", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_training_too_short_for_an_epoch_is_refused_before_it_starts(settings, reviews, tmp_path):
    with pytest.raises(ConfigError, match=r'train.time = "0.01s": too short: one epoch takes 0:0\d on this machine'):
        headway.train(reviews, out=tmp_path / "run", time="0.01s", settings=_tree(settings))
    assert not (tmp_path / "run").exists()


def _tree(settings):
    return read_config(None, settings).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("job", "given", "message"),
    [
        (
            train,
            ["train.epochs=3", "train.time=5m"],
            "train.epochs = 3 and train.time: each says how long to train; leave one of them away",
        ),
        (tune, ["train.time=5m"], 'train.time = "5m": a search has tune.time for all of it; leave train.time away'),
        (tune, ["tune.time=5"], 'tune.time = "5": expected a time such as 30m'),
    ],
)
def test_times_that_mean_nothing_are_refused(settings, reviews, tmp_path, job, given, message):
    with pytest.raises(ConfigError) as error:
        list(job(reviews, out=tmp_path / "run", config=read_config(None, [*settings, *given])))
    assert message in str(error.value)


def test_seconds_are_shown_as_on_a_clock():
    assert [clock_words(seconds) for seconds in (0.4, 200, 3761)] == ["0:00", "3:20", "1:02:41"]
    assert ANSWERS > 0
