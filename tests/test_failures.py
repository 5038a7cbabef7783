"""Whatever can go wrong in a training without an error is provoked here, and told; a loss that is not a number is recovered from."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from headway.checkpoint import load_newest
from headway.cli import app
from headway.config import read_config
from headway.errors import TrainingError
from headway.events import Said, Stepped
from headway.jobs import failures, learning
from headway.jobs.run_folder import STEPS
from headway.jobs.step_log import StepLog
from headway.jobs.train import train
from headway.jobs.worth import Baseline, Worth, say_worth
from headway.metrics import Difference, Scores
from headway.optimize import Optimizer
from headway.records import Prediction, Record, Span
from headway.tasks.classification import Classification


def reviews(count, *, good="good", bad="bad"):
    return [f"{text} {n},{label}" for n in range(count) for text, label in (("a good film", good), ("a bad order", bad))]


@pytest.fixture
def lesson(tmp_path, pretrained_folder):
    """Give a training on two classes, with a dev file of its own, as settings and all that it says."""

    def give(*settings, rows=12, dev=(), name="run", base="bert"):
        (tmp_path / "train.csv").write_text("\n".join(["text,label", *reviews(rows)]), encoding="utf-8")
        (tmp_path / "dev.csv").write_text("\n".join(["text,label", *(dev or reversed(reviews(rows)))]), encoding="utf-8")
        plain = ["train.precision=fp32", "train.patience=0", "regularize.dropout=0.0", "audit.allow=all"]
        config = read_config(None, [*plain, f"model.base_model={pretrained_folder(base)}", *settings])
        return train(tmp_path / "train.csv", dev=tmp_path / "dev.csv", out=tmp_path / name, config=config)

    return give


def said(job, topic):
    return [event.text for event in job if isinstance(event, Said) and event.topic == topic]


LEARNS = ("train.epochs=12", "train.batch_size=4", "train.learning_rate=0.002")
LEARNS_NOTHING = ("train.epochs=20", "train.batch_size=24", "train.learning_rate=1e-12")


# --- what is told


def test_one_class_for_everything_is_told(lesson):
    """As here, where all texts are the same."""
    job = lesson("train.epochs=1", dev=["a film,good", "a film,bad"])
    assert said(job, "all alike")[0].startswith('every record of dev is called "')


def test_a_loss_that_is_no_lower_is_told_at_the_end_of_the_first_epoch(lesson, tmp_path):
    job = lesson(*LEARNS_NOTHING)
    next(event for event in job if isinstance(event, Stepped) and event.step == failures.FEWEST_UPDATES)
    told = next(job)
    assert (told.topic, told.warning) == ("no learning", True)
    assert "after 20 updates: it does not learn; try another train.learning_rate" in told.text
    list(job)
    assert json.loads((tmp_path / "run/scores.json").read_text())["failures"]["no learning"] == told.text


@pytest.mark.parametrize(("how", "told"), [(LEARNS_NOTHING, 1), (LEARNS, 0)])
def test_a_fitted_layer_that_training_does_not_make_better_is_told_at_its_end(lesson, tmp_path, how, told):
    events = list(lesson(*how, "model.pooling=mean"))
    texts = said(events, "adds nothing")
    assert len(texts) == told
    assert all(re.fullmatch(r"the loss of the fitted layer was .* updates of the network: it does not learn; .*", text) for text in texts)
    assert list(json.loads((tmp_path / "run/scores.json").read_text())["failures"].values()) == texts


def test_a_dev_set_that_contradicts_what_was_learned_is_told(lesson):
    turned = reviews(12, good="bad", bad="good")
    events = list(lesson("train.epochs=1", "train.batch_size=2", "train.learning_rate=0.002", rows=72, dev=turned))
    [below], [heart] = said(events, "below chance"), said(events, "by heart")
    assert re.fullmatch(r"dev accuracy is \.\d{3}, majority class for everything gets \.500: look at the labels, and at .*", below)
    assert re.fullmatch(r"accuracy is 1?\.\d{3} on what it learned from and \.\d{3} on dev: more labels help most, then .*", heart)
    assert said(events, "worth it?") == []


@pytest.mark.parametrize(
    ("reached", "p", "told"),
    [
        (0.875, 0.5, "no: TF-IDF reaches .875 on test, the model .750 (macro F1)"),
        (0.5, 0.0625, "perhaps: .250 more than TF-IDF on test (macro F1, -.125 to +.500) may be chance, p = .062"),
        (0.5, 0.001, None),
    ],
)
def test_a_model_that_is_not_surely_better_than_a_baseline_is_told_in_the_words_of_the_tables(reached, p, told):
    scores = {"test": Scores("macro_f1", {"macro_f1": 0.75})}
    beside = {"test": {"TF-IDF": Baseline([], Scores("macro_f1", {"macro_f1": reached}))}}
    worth = {"test": Worth("TF-IDF", {"macro_f1": Difference(0.75 - reached, -0.125, 0.5, p)})}
    assert [event.text for event in say_worth(scores, beside, worth)] == ([told] if told else [])


def test_a_metric_that_could_not_be_computed_is_told():
    missing = failures.not_computed(Scores("macro_f1", {"macro_f1": math.nan}), part="dev")
    assert missing.startswith("dev macro F1 could not be computed: nothing says ")
    assert failures.not_computed(Scores("macro_f1", {"macro_f1": 0.0}), part="dev") is None


NOTHING_TO_JUDGE = {
    "no entity": ("tags.conll", "Ada B-PER\nlives O\n\n" * 8, "it O\nis O\n\n" * 4, "dev F1 could not be computed, as no entity is in it"),
    "one number": (
        "numbers.csv",
        "text,label\n" + "".join(f"a film {n},{n / 2}\n" for n in range(9)),
        "text,label\na film,1.5\na bad film,1.5\n",
        "dev Spearman could not be computed, as all its numbers are the same",
    ),
}


@pytest.mark.parametrize("case", NOTHING_TO_JUDGE)
def test_a_dev_file_that_nothing_can_be_judged_by_is_told_and_the_last_model_kept(tmp_path, pretrained_folder, case):
    name, train_text, dev_text, told = NOTHING_TO_JUDGE[case]
    files = {part: tmp_path / f"{part}-{name}" for part in ("train", "dev")}
    files["train"].write_text(train_text, encoding="utf-8")
    files["dev"].write_text(dev_text, encoding="utf-8")
    settings = [
        "train.precision=fp32",
        "audit.allow=all",
        "train.epochs=3",
        "train.patience=1",
        f"model.base_model={pretrained_folder('bert')}",
    ]
    events = list(train(files["train"], dev=files["dev"], out=tmp_path / "run", config=read_config(None, settings)))
    assert said(events, "not computed") == [f"{told}: nothing says which model is the best, and the last is kept"]
    assert json.loads((tmp_path / "run/scores.json").read_text())["failures"]["not computed"].startswith(told)
    assert [event.best for event in events if hasattr(event, "best")] == [False] * 3
    assert said(events, "worth it?") == []


def test_without_dev_the_test_set_tells_what_has_failed(lesson, tmp_path):
    list(lesson("train.epochs=1"))  # for its files
    (tmp_path / "alike.csv").write_text("text,label\na film,good\na film,bad\n", encoding="utf-8")
    config = read_config(None, [f"model.base_model={tmp_path / 'run/model'}", "split.dev=0", "train.epochs=1", "train.precision=fp32"])
    events = list(train(tmp_path / "train.csv", test=tmp_path / "alike.csv", out=tmp_path / "again", config=config))
    assert said(events, "all alike")[0].startswith('every record of test is called "')


def test_where_no_score_is_a_number_the_last_model_is_kept(lesson, monkeypatch, tmp_path):
    scored = Classification.score
    monkeypatch.setattr(Classification, "score", lambda *given: replace(scored(*given), values={"accuracy": math.nan, "macro_f1": 0.5}))
    list(lesson("train.epochs=2", "train.batch_size=24"))
    assert (tmp_path / "run/model/model.safetensors").is_file()


def test_a_first_score_that_is_not_a_number_does_not_stay_the_best(lesson, monkeypatch):
    scores = iter([math.nan, 0.25, 0.5])
    scored = Classification.score
    monkeypatch.setattr(
        Classification, "score", lambda *given: replace(scored(*given), values={"accuracy": next(scores, 0.5), "macro_f1": 0.5})
    )
    job = lesson("train.epochs=3", "train.batch_size=24", "train.learning_rate=1e-3")
    assert [event.best for event in job if hasattr(event, "best")] == [False, True, True]


def test_of_evaluations_that_are_level_the_last_is_kept_and_none_is_a_gain(lesson, monkeypatch, tmp_path):
    scores = iter([0.5, 0.75, 0.75, 0.75, 0.75])
    scored = Classification.score
    monkeypatch.setattr(
        Classification, "score", lambda *given: replace(scored(*given), values={"accuracy": next(scores, 0.5), "macro_f1": 0.5})
    )
    job = lesson("train.epochs=9", "train.batch_size=24", "train.patience=2")
    events = list(job)
    assert [(event.step, event.best) for event in events if hasattr(event, "best")] == [(1, True), (2, True), (3, True), (4, True)]
    assert said(events, "stopped early") == ["no better in 2 evaluations; the best was at step 4"]


def test_a_score_that_has_not_moved_yet_ends_no_training(lesson, monkeypatch):
    """As that of entities, of which the first are found after some epochs."""
    scores = iter([0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.25])
    scored = Classification.score
    monkeypatch.setattr(
        Classification, "score", lambda *given: replace(scored(*given), values={"accuracy": next(scores, 0.5), "macro_f1": 0.5})
    )
    events = list(lesson("train.epochs=9", "train.batch_size=24", "train.patience=2"))
    assert said(events, "stopped early") == ["no better in 2 evaluations; the best was at step 7"]


def test_a_model_that_nothing_was_scored_on_is_told(lesson, tmp_path):
    list(lesson("train.epochs=1"))
    config = read_config(None, [f"model.base_model={tmp_path / 'run/model'}", "split.dev=0", "train.epochs=1", "train.precision=fp32"])
    assert said(train(tmp_path / "train.csv", out=tmp_path / "again", config=config), "not scored")


def test_a_training_that_goes_well_is_told_nothing(lesson):
    topics = {"all alike", "no learning", "adds nothing", "below chance", "by heart", "not computed", "not scored", "roll back"}
    events = list(lesson(*LEARNS))
    assert not [event for event in events if isinstance(event, Said) and event.topic in topics]


FOUND = Record("Ada lives", entities=(Span(0, 3, "PER"),))
ASKED = Record("Ada lives", question="who", answers=(Span(0, 3),))


@pytest.mark.parametrize(
    ("records", "predictions", "told"),
    [
        ([FOUND, Record("it is", entities=())], [Prediction(entities=())] * 2, "no entity is found in dev"),
        ([ASKED, replace(ASKED, answers=())], [Prediction(answer="")] * 2, "no question of dev is given an answer"),
        ([ASKED, replace(ASKED, answers=())], [Prediction(answer="Ada")] * 2, "every question of dev is given the same answer"),
        ([Record("", label=("a",)), Record("", label=())], [Prediction(label=())] * 2, "every record of dev is called []"),
        ([Record("", label=1.0), Record("", label=2.0)], [Prediction(label=1.5)] * 2, "every record of dev is called 1.5"),
    ],
)
def test_one_answer_for_everything_is_told_for_every_task(records, predictions, told):
    assert failures.all_alike(records, predictions, part="dev").startswith(f"{told}: it has learned nothing; ")


def test_one_answer_is_no_failure_where_people_give_but_one():
    assert failures.all_alike([Record("", label="a")] * 3, [Prediction(label="a")] * 3, part="dev") is None


@pytest.mark.parametrize(
    ("losses", "told"), [([2.0] * 20, True), ([2.0] * 15 + [1.0] * 5, False), ([2.0] * 5 + [3.0] * 15, True), ([2.0] * 19, False)]
)
def test_only_a_lower_loss_is_learning(losses, told):
    assert (failures.does_not_learn(losses, updates_per_epoch=4) is not None) is told


@pytest.mark.parametrize(("dev", "told"), [(0.79, True), (0.81, False)])
def test_only_a_large_gap_is_told(dev, told):
    train, dev = (Scores("accuracy", {"accuracy": value}) for value in (1.0, dev))
    assert (failures.knows_by_heart(train, dev, part="dev") is not None) is told


# --- what is recovered from


SIX_EPOCHS = ("train.epochs=6", "train.batch_size=4", "train.learning_rate=0.002", "train.checkpoint_minutes=0.000001")  # of 6 updates


BACK = [(3, "the start"), (6, "the start"), (10, "the best model so far, of step ")]


@pytest.mark.parametrize(("at", "where"), BACK, ids=["before the first dev score", "at it", "after it"])
@pytest.mark.parametrize(("base", "behind"), [("bert", False), ("modernbert-mean", False), ("bert", True)])
def test_a_loss_that_is_not_a_number_is_rolled_back_at_half_the_rate(lesson, fragile, tmp_path, monkeypatch, at, where, base, behind):
    monkeypatch.setattr(learning, "_log", lambda started, folder: StepLog(folder / STEPS, behind=behind))
    fragile(at=at, above=0.0015)
    events = list(lesson(*SIX_EPOCHS, base=base))
    [told] = said(events, "roll back")
    assert told.startswith(f"step {at}: the loss is not a number; back to {where}")
    assert told.endswith("at half the rate, 0.001 (1 of at most 3)")
    log = [json.loads(line) for line in (tmp_path / "run/steps.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 37))
    assert max(line["learning_rate"] for line in log[at - 1 :]) <= 0.001
    assert all(weight.isfinite().all() for weight in load_file(tmp_path / "run/model/model.safetensors").values())
    kept = json.loads((tmp_path / "run/scores.json").read_text())
    assert kept["failures"]["roll back"] == told
    assert kept["rolled_back"] == {"times": 1, "learning_rate": 0.001}


@pytest.mark.parametrize(
    ("recipe", "stops"),
    [
        ([], ("before", "between", "after")),
        (["regularize.mixout=0.5"], ("between",)),
        (["regularize.unfreezing=0.9"], ("between",)),
        (["regularize.ema_decay=0.9"], ("between",)),
        (["regularize.parameters=lora"], ("between",)),
        (["regularize.soup=greedy"], ("between",)),
    ],
    ids=["plain", "mixout", "unfreezing", "average", "LoRA", "soup"],
)
def test_a_run_that_was_rolled_back_and_killed_goes_on_to_the_weights_of_an_unbroken_one(lesson, fragile, tmp_path, recipe, stops):
    fragile(at=14, above=0.0006)  # two roll-backs
    assert len(said(lesson(*SIX_EPOCHS, *recipe), "roll back")) == 2
    for stop in stops:
        job = lesson(*SIX_EPOCHS, *recipe, name=stop)
        rolled = 0
        for event in job:
            rolled += isinstance(event, Said) and event.topic == "roll back"
            at = event.step if isinstance(event, Stepped) else 0
            if (stop, rolled, at) in {("before", 0, 13), ("between", 1, 13), ("after", 2, 15)}:
                break
        job.close()
        list(train(tmp_path / stop, resume=True))
        for name in ("model/model.safetensors", "scores.json", "model/headway.json"):
            assert (tmp_path / stop / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), (stop, name)
        logs = [(tmp_path / run / "steps.jsonl").read_text().splitlines() for run in (stop, "run")]
        logs = [[json.loads(line) | {"seconds": 0} for line in log] for log in logs]
        assert logs[0] == logs[1]


def test_after_three_roll_backs_it_stops_and_says_why(lesson, fragile, tmp_path):
    fragile(at=14, above=0.0)
    events, kept = [], []

    def watched():
        for event in lesson(*SIX_EPOCHS):
            kept.append((tmp_path / "run/model/model.safetensors").read_bytes() if (tmp_path / "run/model").is_dir() else None)
            yield event

    with pytest.raises(TrainingError) as error:
        events.extend(watched())
    assert len(said(events, "roll back")) == 3
    assert str(error.value).startswith("step 14: the loss is not a number any more, also at a rate of 0.00025 after 3 roll-backs; ")
    assert "lower train.learning_rate (it is 0.002); the best model so far, of step " in str(error.value)
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == kept[-1]
    assert all(tensor.isfinite().all() for tensor in load_newest(tmp_path / "run/checkpoints").tensors.values())


def test_a_model_that_answers_no_numbers_is_never_saved(lesson, monkeypatch, tmp_path):
    """An update can ruin a model though its own loss was a number; the next loss would tell, but for the evaluation between."""

    def step(optimizer, number):
        norm = stepped(optimizer, number)
        if number + 1 == 6 and optimizer.train.learning_rate > 0.0015:
            with torch.no_grad():
                for _, weight in optimizer._named:
                    weight.fill_(math.inf)
        return norm

    stepped = Optimizer.step
    monkeypatch.setattr(Optimizer, "step", step)
    assert said(lesson(*SIX_EPOCHS), "roll back")[0].startswith("step 6: the loss is not a number; back to the start")


def test_the_command_line_shows_a_roll_back(lesson, fragile, tmp_path, pretrained_folder):
    list(lesson("train.epochs=1"))  # for its files
    fragile(at=9, above=0.0015)
    settings = [word for setting in (*SIX_EPOCHS, "audit.allow=all") for word in ("--set", setting)]
    words = ["train", str(tmp_path / "train.csv"), "--dev", str(tmp_path / "dev.csv"), "--out", str(tmp_path / "shown")]
    result = CliRunner().invoke(app, [*words, "--base-model", str(pretrained_folder("bert")), *settings])
    assert result.exit_code == 0, result.output
    assert "! roll back       step 9: the loss is not a number; back to " in result.output
