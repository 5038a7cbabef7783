"""headway tune: trials from one network in memory, pruned and kept, killed and gone on with, and a winner that is not the luckiest."""

import json
import math
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen, remove
from typer.testing import CliRunner

import headway
from headway.cli import app
from headway.config import read_config, with_settings
from headway.errors import ConfigError, DataError, OutputError
from headway.events import Evaluated, Finished, Said, Scored, Stepped, Tried
from headway.jobs.report import report
from headway.jobs.train import train
from headway.jobs.tune import tune
from headway.jobs.tune.clock import Deadline
from headway.jobs.tune.halving import is_rung, why_pruned
from headway.jobs.tune.space import examples, in_order, usual_space

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad', 'fine', 'late')[n % 4]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(100))
TAGGED = "".join(
    f"Ada B-PER\nlives O\nin O\n{place} B-LOC\n. O\nok O\n{n} O\n\n" for n, place in enumerate(("Paris", "London", "Berlin") * 6)
)
CITIES = ("London", "Paris", "Berlin", "Warsaw")
SPACE = """[tune.space]
train.learning_rate = {low = 1e-4, high = 1e-1, log = true}
train.batch_size = {choices = [4, 8, 16]}
regularize.class_weights = {choices = ["none", "balanced"]}
regularize.label_smoothing = {low = 0.0, high = 0.3, when = {"regularize.class_weights" = "none"}}
"""


def question(number: int) -> dict:
    """One in a paragraph and an article of its own."""
    context, city = f"Ada Lovelace lived at {number} in {CITIES[number % 4]} .", CITIES[number % 4]
    asked = {"id": str(number), "question": "where", "answers": [{"text": city, "answer_start": context.index(city)}]}
    return {"title": str(number), "paragraphs": [{"context": context, "qas": [asked]}]}


QUESTIONS = json.dumps({"version": "1.1", "data": [question(number) for number in range(16)]})
FILES = {"reviews.csv": REVIEWS, "tags.conll": TAGGED, "questions.json": QUESTIONS}


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    plain = ("train.epochs=3", "train.precision=fp32", "train.learning_rate=0.003", "train.batch_size=4", "audit.allow=all")
    return [f"model.base_model={pretrained_folder('bert')}", *plain, "split.dev=0.4", "tune.share=1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tune")
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "space.toml").write_text(SPACE, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def config(settings, root):
    """A space of a person's own, and ten trials."""
    return read_config(root / "space.toml", [*settings, "tune.trials=10"])


@pytest.fixture(scope="module")
def whole(root, config):
    """A search that nothing has disturbed, and its events."""
    events = list(tune(root / "reviews.csv", test=root / "reviews.csv", out=root / "whole", config=config))
    return root / "whole", events


def told(folder: Path) -> dict:
    return json.loads((folder / "tune.json").read_text(encoding="utf-8"))


def timeless(folder: Path) -> dict:
    found = told(folder)
    return found | {"seconds": None, "trials": [trial | {"seconds": None} for trial in found["trials"]]}


def test_the_first_trial_is_the_default_recipe_and_scores_what_a_training_does(whole, root, settings, tmp_path):
    folder, _ = whole
    first = told(folder)["trials"][0]
    assert first["why"] == "the default recipe"
    events = list(train(root / "reviews.csv", out=tmp_path / "run", config=read_config(None, [*settings, "regularize.label_smoothing=0"])))
    assert first["curve"] == [event.value for event in events if isinstance(event, Evaluated)]
    assert first["settings"]["train.learning_rate"] == 0.003


def test_every_trial_scores_what_a_training_with_its_settings_does(whole, root, settings, tmp_path):
    """Weights that are put back from memory are those of the disk."""
    folder, _ = whole
    for trial in told(folder)["trials"][1:6]:
        given = [f"{name}={value}" for name, value in trial["settings"].items()]
        events = train(root / "reviews.csv", out=tmp_path / str(trial["number"]), config=read_config(None, [*settings, *given]))
        curve = [event.value for event in events if isinstance(event, Evaluated)]
        assert trial["curve"] == curve[: len(trial["curve"])]


def test_pruned_trials_had_an_epoch_and_say_why(whole):
    folder, events = whole
    trials = told(folder)["trials"]
    assert len(trials) == 10
    pruned = [trial for trial in trials if trial["state"] == "pruned" and trial["curve"]]
    assert pruned
    assert all(1 <= len(trial["curve"]) < 3 and ("better" in trial["why"] or "same settings" in trial["why"]) for trial in pruned)
    ended = {event.number: event for event in events if isinstance(event, Tried) and event.state != "running"}
    assert all((ended[trial["number"]].state, ended[trial["number"]].why) == ("pruned", trial["why"]) for trial in pruned)
    assert [event.standing.finished for event in ended.values()] == list(range(1, 11))


def test_a_setting_is_tried_only_where_its_condition_holds(whole):
    folder, _ = whole
    tried = [trial["settings"] for trial in told(folder)["trials"]]
    assert {settings["regularize.class_weights"] for settings in tried} == {"none", "balanced"}
    assert all(("regularize.label_smoothing" in settings) == (settings["regularize.class_weights"] == "none") for settings in tried)


def test_the_winner_has_the_best_mean_over_new_seeds(whole):
    folder, _ = whole
    found = told(folder)
    of_trial = {}
    for run in found["finals"]:
        of_trial.setdefault(str(run["trial"]), []).append(run["value"])
    assert len(of_trial) == 3
    assert all(len(values) == 3 for values in of_trial.values())
    assert {run["seed"] for run in found["finals"]} == {2, 3, 4}
    assert found["means"] == pytest.approx({trial: fmean(values) for trial, values in of_trial.items()})
    assert found["means"][str(found["winner"]["trial"])] == max(found["means"].values())


def test_the_test_set_is_opened_once_by_the_winner_and_said(whole):
    folder, events = whole
    opened = [n for n, event in enumerate(events) if isinstance(event, Said) and event.topic == "test"]
    assert [events[n].text for n in opened] == ["opened now, once, by the winner: 100 records that no choice has seen"]
    assert not any(isinstance(event, Stepped) for event in events[opened[0] :])
    assert "test" in json.loads((folder / "scores.json").read_text())
    scored = list(folder.glob("finals/*/scores.json"))
    assert [path.parent.name for path in scored] == ["trial-{trial}-seed-{seed}".format(**told(folder)["winner"])]


def test_run_toml_repeats_the_winner(whole, tmp_path):
    folder, _ = whole
    list(train(config=read_config(folder / "run.toml"), out=tmp_path / "run"))
    for name in ("model/model.safetensors", "predictions.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()
    headway.load(folder).predict(["a good film"])


def test_the_folder_of_the_winner_is_that_of_a_run(whole, root, settings, tmp_path):
    folder, events = whole
    list(train(root / "reviews.csv", test=root / "reviews.csv", out=tmp_path / "run", config=read_config(None, settings)))
    made = {path.name for path in folder.iterdir()}
    assert {path.name for path in (tmp_path / "run").iterdir()} <= made
    for name in ("data.json", "provenance.json", "scores.json"):
        ours, theirs = (json.loads((place / name).read_text(encoding="utf-8")) for place in (folder, tmp_path / "run"))
        assert ours.keys() == theirs.keys()
    assert json.loads((folder / "provenance.json").read_text())["finished"]
    assert "Finds classes of texts" in (folder / "model/README.md").read_text()
    said = {event.topic: event.text for event in events if isinstance(event, Said)}
    assert said["report"] == f"{folder / 'report.html'} · {folder / 'tune.html'} tells of the search"
    assert said["repeat it"] == f"headway train --config {folder / 'run.toml'}"
    pages = [(folder / name).read_text(encoding="utf-8") for name in ("report.html", "tune.html")]
    assert list(report(folder)) == [Finished(folder)]
    assert [(folder / name).read_text(encoding="utf-8") for name in ("report.html", "tune.html")] == pages


def test_weights_of_trials_do_not_stay(whole):
    folder, _ = whole
    assert not list(folder.glob("trials/*/model")) + list(folder.glob("trials/*/checkpoints"))
    assert len(list(folder.glob("trials/*/steps.jsonl"))) >= 5
    assert len(list(folder.glob("finals/*/model"))) == 3


@pytest.mark.parametrize("name", ["tags.conll", "questions.json"])
def test_every_task_can_be_tuned_from_python(root, settings, tmp_path, name):
    given = {"train": {"epochs": 1.0, "precision": "fp32", "batch_size": 8}, "audit": {"allow": "all"}, "split": {"dev": 0.25}}
    network = {"model": {"base_model": settings[0].partition("=")[2]}}
    folder = headway.tune(root / name, trials=2, out=tmp_path / "run", settings={**given, **network})
    assert [trial["why"] for trial in told(folder)["trials"]] == ["the default recipe", "another rate"]
    headway.load(folder)


def test_few_trials_go_through_learning_rates(root, settings, tmp_path):
    config = read_config(None, [*settings, "tune.trials=4", "train.epochs=1", "tune.finalists=1"])
    list(tune(root / "reviews.csv", out=tmp_path / "run", config=config))
    tried = [trial["settings"] for trial in told(tmp_path / "run")["trials"]]
    assert [settings["train.learning_rate"] for settings in tried] == [0.003, 0.0015, 0.006, 0.00075]
    assert len({json.dumps({**settings, "train.learning_rate": 0}) for settings in tried}) == 1


ADAPTERS = """[tune.space]
regularize.parameters = {choices = ["all", "lora"]}
lora.rank = {choices = [1, 2, 4], when = {"regularize.parameters" = "lora"}}
lora.alpha = {low = 1.0, high = 8.0, when = {"lora.rank" = [2, 4]}}
regularize.reinitialized_layers = {choices = [0, 1], when = {"regularize.parameters" = "all"}}
"""


@pytest.fixture(scope="module")
def of_adapters(root, settings):
    """A search for how to adapt, on the same network."""
    (root / "adapters.toml").write_text(ADAPTERS, encoding="utf-8")
    config = read_config(root / "adapters.toml", [*settings, "tune.trials=12", "train.epochs=1", "tune.finalists=1"])
    list(tune(root / "reviews.csv", out=root / "adapters", config=config))
    return told(root / "adapters")["trials"]


def test_the_rank_is_drawn_only_where_there_are_adapters(of_adapters):
    tried = [trial["settings"] for trial in of_adapters]
    assert {settings["regularize.parameters"] for settings in tried} == {"all", "lora"}
    assert all(("lora.rank" in settings) == (settings["regularize.parameters"] == "lora") for settings in tried)
    assert all(("lora.alpha" in settings) == (settings.get("lora.rank") in (2, 4)) for settings in tried)
    assert all(("regularize.reinitialized_layers" in settings) == (settings["regularize.parameters"] == "all") for settings in tried)
    assert tried[0] == {"regularize.parameters": "all", "regularize.reinitialized_layers": 0}


def test_a_trial_that_changes_the_network_scores_what_a_training_with_its_settings_does(of_adapters, root, settings, tmp_path):
    """With adapters or layers begun anew the network in memory is another one than before, and is what it was after them."""
    seen = set()
    for trial in of_adapters:
        given = [f"{name}={value}" for name, value in trial["settings"].items()]
        if len(trial["curve"]) == 0 or tuple(given[:2]) in seen:
            continue
        seen.add(tuple(given[:2]))
        config = read_config(None, [*settings, "train.epochs=1", *given])
        events = train(root / "reviews.csv", out=tmp_path / str(trial["number"]), config=config)
        assert trial["curve"] == [event.value for event in events if isinstance(event, Evaluated)][: len(trial["curve"])]
    assert len(seen) >= 3


def test_adapters_of_which_nothing_is_asked_without_them_are_a_space_that_can_be_searched():
    space = read_config(None, [f"tune.space={{{', '.join(ADAPTERS.splitlines()[1:])}}}"]).tune.space
    assert all(read_config(None, [f"{name}={value}" for name, value in values.items()]) for values in examples(in_order(space)))


WAYS = """[tune.space]
regularize.ema_decay = {choices = [0.0, 0.5]}
regularize.unfreezing = {choices = [0.0, 0.5]}
train.row_updates = {choices = [true, false]}
"""


def test_trials_that_learn_all_rows_of_the_table_follow_those_that_do_not(root, settings, tmp_path):
    """An average and unfreezing have no row updates, and the network is that of the trial before."""
    (tmp_path / "ways.toml").write_text(WAYS, encoding="utf-8")
    config = read_config(tmp_path / "ways.toml", [*settings, "tune.trials=5", "train.epochs=1", "tune.finalists=1"])
    trials_of(tune(root / "reviews.csv", out=tmp_path / "run", config=config))
    trained = [trial for trial in kept_trials(tmp_path / "run") if not (trial[4] or "").startswith("the same settings")]
    tried = {(params["regularize.ema_decay"] > 0, params["regularize.unfreezing"] > 0) for _, params, *_ in trained}
    assert tried >= {(True, False), (False, True)}
    for number, (state, params, scores, *_) in enumerate(trained):
        assert state != TrialState.FAIL
        given = [f"{name}={str(value).lower()}" for name, value in params.items()]
        events = train(root / "reviews.csv", out=tmp_path / str(number), config=read_config(None, [*settings, "train.epochs=1", *given]))
        assert list(scores.values()) == [event.value for event in events if isinstance(event, Evaluated)]


RULED = ["focal_gamma=2", "label_smoothing=0.2", "parameters=biases", "r_drop=1", "head_samples=5", "mixout=0.5", "freelb=0.3"]


@pytest.mark.parametrize("setting", RULED)
def test_the_usual_space_holds_nothing_that_a_setting_rules_out(setting):
    config = read_config(None, [f"regularize.{setting}", "train.learning_rate=1e-4", "train.batch_size=32"])
    space = usual_space(config, parameters=22_000_000, windows=5000, numbers=False)
    assert all(with_settings(config, values) for values in examples(space))
    assert ("regularize.label_smoothing" in space) == (setting != "focal_gamma=2")
    assert "train.learning_rate" in space


# --- stopped and gone on with


@pytest.mark.parametrize("stop", ["in a trial", "in the finals", "between two"])
def test_a_search_that_was_interrupted_goes_on_to_that_of_an_unbroken_one(whole, root, config, tmp_path, stop):
    out, trial = tmp_path / "run", "in trial 3" if stop == "in a trial" else "in the finals"
    job = tune(root / "reviews.csv", test=root / "reviews.csv", out=out, config=config)
    for event in job:
        last = sorted(out.glob("finals/*/steps.jsonl")) if stop == "in the finals" else (out / "trials/3/steps.jsonl").is_file()
        if last and isinstance(event, Tried if stop == "between two" else Stepped):
            break
    if stop != "between two":
        assert job.throw(KeyboardInterrupt()).text == f"{trial}, saved. Go on with: headway tune --resume {out}"
        with pytest.raises(KeyboardInterrupt):
            next(job)
    job.close()
    assert not (out / "scores.json").exists()
    list(tune(out, resume=True))
    assert timeless(out) == timeless(whole[0])
    assert (out / "model/model.safetensors").read_bytes() == (whole[0] / "model/model.safetensors").read_bytes()


KILLS = 20


def test_twenty_kills_lose_and_double_no_trial(root, config, tmp_path):
    """SIGKILL at any moment, in trials, between them and in the finals; where a search gets to its end, the next is killed."""
    tuning = config.tune.model_copy(update={"trials": 6, "finalists": 1})
    short = config.model_copy(update={"tune": tuning, "train": config.train.model_copy(update={"epochs": 2.0})})
    list(tune(root / "reviews.csv", out=tmp_path / "whole", config=short))
    chance, kills, ended, places = random.Random(5), 0, 0, set()
    while kills < KILLS:
        out = tmp_path / f"killed-{ended}"
        job = (
            partial(tune, out, resume=True) if (out / "tune.toml").is_file() else partial(tune, root / "reviews.csv", out=out, config=short)
        )
        kills += killed(job, chance)
        places.add((ended, len(list(out.glob("trials/*/steps.jsonl"))), len(list(out.glob("finals/*/dev.json")))))
        if (out / "scores.json").is_file():
            assert timeless(out) == timeless(tmp_path / "whole")
            ended += 1
    list(tune(out, resume=True))
    assert timeless(out) == timeless(tmp_path / "whole")
    assert len(places) > KILLS / 3


def killed(job, chance) -> bool:
    """Run the job in a process of its own until somewhere behind its start, and kill that; whether it still ran."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for event in job():
                if isinstance(event, Stepped | Evaluated):
                    os.write(tell, b".")
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(tell)
    for _ in range(chance.choice((1, 10, 40, 80, 120))):
        os.read(told, 1)  # at once, where there is nothing more to come
    time.sleep(chance.random() * 0.1)
    os.kill(child, signal.SIGKILL)
    os.close(told)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended == -signal.SIGKILL


class Killed(BaseException):
    """Nothing of ours catches it."""


WRITES = ("INSERT", "UPDATE", "DELETE")


@contextmanager
def killed_at_write(number: float) -> Iterator[list[str]]:
    """Ends all before that write to a database, counted from 1; gives the statements so far."""
    written = []

    def watch(connection, cursor, statement, *rest) -> None:
        if statement.startswith(WRITES):
            written.append(statement)
            if len(written) == number:
                raise Killed

    listen(Engine, "before_cursor_execute", watch)
    try:
        yield written
    finally:
        remove(Engine, "before_cursor_execute", watch)


def trials_of(job) -> None:
    """Go on until the finals begin."""
    with closing(job):
        next(event for event in job if isinstance(event, Said) and event.topic == "finals")


def test_a_kill_before_any_write_changes_no_trial(root, settings, tmp_path):
    """A trial is drawn, pruned and told as without the kill: between two settings, a report and its verdict, a verdict and its end."""
    given = [*settings, "tune.trials=2", "tune.finalists=1", "train.epochs=2"]
    given += ['tune.space={"train.learning_rate"={low=1e-9,high=1e-8,log=true},"train.warmup"={low=0.0,high=0.9}}']
    config = read_config(None, given)
    (tmp_path / "few.csv").write_text("".join(REVIEWS.splitlines(keepends=True)[:41]), encoding="utf-8")
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    with closing(tune(tmp_path / "few.csv", out=begun, config=config)) as job:
        next(event for event in job if isinstance(event, Tried) and event.state == "done")
    shutil.copytree(begun, whole)
    with killed_at_write(math.inf) as written:
        trials_of(tune(whole, resume=True))
    assert any("trial_params" in statement for statement in written)
    for number in range(1, len(written) + 1):
        out = tmp_path / str(number)
        shutil.copytree(begun, out)
        with killed_at_write(number), pytest.raises(Killed):
            trials_of(tune(out, resume=True))
        trials_of(tune(out, resume=True))
        assert kept_trials(out) == kept_trials(whole), written[number - 1]


def kept_trials(folder: Path) -> list[tuple]:
    storage = f"sqlite:///{folder / 'study.db'}"
    trials = optuna.load_study(study_name="headway", storage=storage).trials
    return [(t.state, t.params, t.intermediate_values, t.value, t.user_attrs.get("why"), t.user_attrs.get("metric")) for t in trials]


VALUES = st.lists(st.floats(0, 1, width=16), min_size=1, max_size=30)


@given(VALUES)
def test_of_those_that_got_so_far_the_best_third_goes_on(values):
    trials = [
        create_trial(state=TrialState.RUNNING, params={"a": n}, distributions={"a": IntDistribution(0, 30)}, intermediate_values={1: v})
        for n, v in enumerate(values)
    ]
    on = [v for v, trial in zip(values, trials, strict=True) if why_pruned(trial, trials, evaluations=1) is None]
    third = sorted(values, reverse=True)[: max(len(values) // 3, 1)]
    assert sorted(on, reverse=True)[: len(third)] == third
    assert min(on) == min(third)


def test_verdicts_come_after_1_3_and_9_epochs():
    assert [number for number in range(30) if is_rung(number, evaluations=1)] == [1, 3, 9, 27]
    assert [number for number in range(30) if is_rung(number, evaluations=2)] == [2, 6, 18]


def test_a_search_that_goes_on_has_the_time_that_its_finals_have_left(root, settings, tmp_path, monkeypatch):
    """Trials and finals that are kept have had their seconds; what is left is for the rest."""
    given = [*settings, "train.epochs=1", "tune.finalists=1", "tune.time=30s", "tune.trials=2"]
    out, deadlines = tmp_path / "run", []

    class Noted(Deadline):
        def __post_init__(self):
            super().__post_init__()
            deadlines.append(self.seconds)

    monkeypatch.setattr("headway.jobs.tune.Deadline", Noted)
    with closing(tune(root / "reviews.csv", out=out, config=read_config(None, given))) as job:
        next(event for event in job if isinstance(event, Said) and event.topic.startswith("trial "))
    [kept] = out.glob("finals/*/dev.json")
    final = json.loads(kept.read_text(encoding="utf-8"))
    assert final["seconds"] > 0
    kept.write_text(json.dumps(final | {"seconds": 1000.0}), encoding="utf-8")
    with closing(tune(out, resume=True)) as job:
        next(event for event in job if isinstance(event, Said) and event.topic == "kept")
    assert deadlines[-1] < 30 - 1000 < 0 < deadlines[0]


@pytest.mark.parametrize("name", ["dev", "test"])
def test_files_that_are_named_for_a_search_that_goes_on_are_refused(whole, root, name):
    folder, _ = whole
    with pytest.raises(ConfigError) as error:
        list(tune(folder, resume=True, **{name: root / "reviews.csv"}))
    path = root / "reviews.csv"
    assert str(error.value) == f"--{name} {path}: {folder} goes on with the files that it was started with; leave --{name} away"


def test_a_finished_search_does_not_open_the_test_set_again(whole):
    folder, _ = whole
    said = [event for event in tune(folder, resume=True) if isinstance(event, Said | Scored)]
    assert [event.text for event in said] == [f"{folder} has already finished, and its test set has been opened: search anew to go on"]


# --- mistakes


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ('{"train.learning_rat" = {low = 1e-5, high = 1e-3}}', "unknown setting train.learning_rat; did you mean train.learning_rate?"),
        ('{"trian.epochs" = {low = 1, high = 3}}', 'unknown section trian; did you mean "train"?'),
        ('{"train.epochs" = {low = 3, high = 3}}', "train.epochs: empty: low = 3 is not under high = 3"),
        ('{"train.epochs" = {choices = []}}', "train.epochs: empty: choices = []"),
        ('{"train.epochs" = {low = 1}}', "train.epochs: expected low and high, or choices"),
        ('{"train.epochs" = {low = 0.0, high = 3.0, log = true}}', "train.epochs: log goes with low and high over 0"),
        ('{"train.warmup" = {low = 0.0, high = 1.5}}', "train.warmup = 1.5: must be less than 1"),
        ('{"train.seed" = {low = 1, high = 9}}', "train.seed is no part of how a model learns; trials would not be comparable"),
        ('{"split.dev" = {low = 0.1, high = 0.2}}', "split.dev is no part of how a model learns"),
        *(
            (f'{{"{name}" = {{choices = {choices}}}}}', f"{name} is not searched; set it for headway train")
            for name, choices in [
                ("contrastive.epochs", [0, 20]),
                ("distill.weight", [0.3, 0.5]),
                ("unlabeled.epochs", [1, 3]),
                ("regularize.soup", ["none", "greedy"]),
                ("regularize.soup_size", [3, 5]),
            ]
        ),
        ('{"train.epochs" = {choices = ["auto", 5]}}', 'train.epochs: "auto" is decided before a search, and none of its values'),
        ('{"model.head" = {choices = ["auto", "random"]}}', 'model.head: "auto" is decided before a search'),
        ('{"train.warmup" = {choices = [0.1], when = {"model.head" = "auto"}}}', 'when: model.head: "auto" is decided before a search'),
        ('{"train.epochs" = {choices = [0, 3]}}', "train.epochs: 0 epochs are no training to be compared with others"),
        ('{"train.epochs" = {choices = [1, 2], when = {"train.warm" = 0.1}}}', "when: unknown setting train.warm; did you mean"),
    ],
)
def test_a_space_that_cannot_be_searched_is_told_before_anything_starts(tmp_path, space, message):
    (tmp_path / "space.toml").write_text(f"[tune]\nspace = {space}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "space.toml")
    assert f"{tmp_path / 'space.toml'}: tune.space: " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("space", ["{epochs = 3}", "{epochs = {low = 1, high = 3}}", "{train.epochs = 3}"])
def test_a_space_of_another_shape_is_told(space):
    with pytest.raises(ConfigError, match=r"must be made of section.key = \{low = ..., high = ...\} or \{choices = \[...\]\}"):
        read_config(None, [f"tune.space={space}"])


def test_conditions_that_wait_for_each_other_are_refused(root, settings, tmp_path):
    one, other = (
        '"train.epochs" = {choices = [1, 2], when = {"train.warmup" = 0.1}}',
        '"train.warmup" = {choices = [0.1], when = {"train.epochs" = 1}}',
    )
    with pytest.raises(ConfigError, match="wait for each other"):
        list(tune(root / "reviews.csv", out=tmp_path / "run", config=read_config(None, [*settings, f"tune.space={{{one}, {other}}}"])))


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (["split.dev=0"], ConfigError, "split.dev = 0: a search measures on a dev set"),
        (["train.seeds=2"], ConfigError, "train.seeds = 2: a search trains with tune.seeds of its own"),
        (["train.epochs=0"], ConfigError, "train.epochs = 0: a search compares trainings, and there is none"),
        (["train.epochs=0", "tune.time=1m"], ConfigError, "train.epochs = 0: a search compares trainings, and there is none"),
        (
            ["regularize.dropout=0", 'tune.space={"regularize.r_drop" = {choices = [0.0, 1.0]}}'],
            ConfigError,
            "regularize.r_drop compares two answers under dropout, and there is none",
        ),
        (
            ["regularize.r_drop=1", 'tune.space={"regularize.dropout" = {choices = [0.0, 0.1]}}'],
            ConfigError,
            "regularize.r_drop compares two answers under dropout, and there is none",
        ),
        (["tune.storage=sqlite:////no/such/folder/x.db"], ConfigError, "cannot be opened"),
        (
            ["tune.storage=mysql://me:secret@nowhere/x"],
            ConfigError,
            "mysql://me:***@nowhere/x: the driver of this database is not installed: pip install pymysql, and write mysql+pymysql://",
        ),
        (
            ["tune.storage=postgre://nowhere/x"],
            ConfigError,
            "tune.storage = postgre://nowhere/x: no such kind of database; expected sqlite:///FILE, postgresql://USER@HOST/NAME or ",
        ),
        (["tune.storage=nonsense"], ConfigError, "tune.storage = nonsense: cannot be opened"),
    ],
)
def test_what_cannot_be_searched_is_refused(root, settings, tmp_path, given, kind, message):
    with pytest.raises(kind) as error:
        list(tune(root / "reviews.csv", out=tmp_path / "run", config=read_config(None, [*settings, *given])))
    assert message in str(error.value)


def test_a_space_that_does_not_go_with_the_task_is_refused(root, settings, tmp_path):
    given = [*settings, 'tune.space={"regularize.class_weights" = {choices = ["none", "balanced"]}}']
    with pytest.raises(ConfigError, match="class_weights = balanced is for classes, and there are none in ner"):
        list(tune(root / "tags.conll", out=tmp_path / "run", config=read_config(None, given)))


def test_a_trial_whose_settings_do_not_go_together_fails_and_says_why_and_the_rest_goes_on(root, settings, tmp_path):
    space = '{"regularize.r_drop" = {choices = [0.0, 1.0]}, "regularize.dropout" = {choices = [0.0, 0.1]}}'
    config = read_config(None, [*settings, f"tune.space={space}", "tune.trials=8", "train.epochs=1", "tune.finalists=1"])
    trials_of(tune(root / "reviews.csv", out=tmp_path / "run", config=config))
    clash = {"regularize.r_drop": 1.0, "regularize.dropout": 0.0}
    failed = [(params, why) for state, params, _, _, why, _ in kept_trials(tmp_path / "run") if state == TrialState.FAIL]
    assert all(params == clash for params, _ in failed)
    assert "compares two answers under dropout" in failed[0][1]


def test_a_study_of_other_data_or_settings_is_refused(root, settings, tmp_path):
    shared = [*settings, f"tune.storage=sqlite:///{tmp_path / 'shared.db'}", "tune.trials=1", "train.epochs=1", "tune.finalists=1"]
    list(tune(root / "reviews.csv", out=tmp_path / "one", config=read_config(None, shared)))
    (tmp_path / "other.csv").write_text(REVIEWS + "again,pos\n", encoding="utf-8")
    with pytest.raises(OutputError, match="this search was made with the sha256 of the train file = "):
        list(tune(tmp_path / "other.csv", out=tmp_path / "two", config=read_config(None, shared)))
    with pytest.raises(
        OutputError, match=r"this search was made with train.warmup = 0.1, now 0.2; choose another --out, or another tune.st"
    ):
        list(tune(root / "reviews.csv", out=tmp_path / "three", config=read_config(None, [*shared, "train.warmup=0.2"])))


def test_data_that_has_changed_since_is_refused(root, config, tmp_path):
    (tmp_path / "data.csv").write_text(REVIEWS, encoding="utf-8")
    job = tune(tmp_path / "data.csv", out=tmp_path / "run", config=config)
    next(event for event in job if isinstance(event, Stepped))
    job.close()
    (tmp_path / "data.csv").write_text(REVIEWS + "again,pos\n", encoding="utf-8")
    with pytest.raises(DataError, match="has changed since the run was started"):
        list(tune(tmp_path / "run", resume=True))


def test_the_command_searches_to_its_end(root, settings, tmp_path):
    """With a setting that the usual space has to give way to."""
    given = [word for setting in [*settings, "train.epochs=1", "regularize.focal_gamma=2"] for word in ("--set", setting)]
    words = ["tune", str(root / "reviews.csv"), "--test", str(root / "reviews.csv"), "--trials", "2", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, *given])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "2 trials, the first is the default recipe; usual space: learning_rate" in said
    assert "label_smoothing" not in said
    assert "opened now, once, by the winner: 100 records" in said
    assert "repeat it headway train --config " in said
    answered = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), "a good film"])
    assert json.loads(answered.stdout)["label"] in ("pos", "neg")


def test_the_command_says_how_to_go_on_and_what_was_not_understood(root):
    asked = CliRunner().invoke(app, ["tune", "--help"])
    assert asked.exit_code == 0
    assert "Search for settings" in asked.output
    result = CliRunner().invoke(app, ["tune", "--resume", str(root)])
    assert result.exit_code == 2
    assert "no search to go on with; expected headway tune --resume FOLDER" in result.stderr
    result = CliRunner().invoke(app, ["tune", str(root / "reviews.csv"), "--set", "tune.trails=3"])
    assert "unknown setting tune.trails; did you mean tune.trials?" in result.stderr
