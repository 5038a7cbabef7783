"""The main job from end to end, by the command line, with a tiny network; and every mistake of a person as one line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FILES, REVIEWS, TAGGED
from typer.testing import CliRunner

import headway
from headway.cli import app
from headway.config import read_config
from headway.errors import DataError, ModelError
from headway.jobs.worth import Baseline, say_worth, weigh_worth
from headway.records import Prediction, Record
from headway.tasks.classification import Classification

EXAMPLES = Path(__file__).parents[1] / "examples"
TINY = ["--set", "train.epochs=1", "--set", "train.precision=fp32"]


@pytest.fixture
def trained(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY)
    assert result.exit_code == 0, result.output
    return work / "run"


@pytest.mark.parametrize("name", FILES)
def test_each_task_trains_evaluates_and_predicts_from_its_file_alone(work, headway_command, name):
    dev = ["--set", "split.dev=0"] if name == "questions.json" else []
    assert headway_command("train", name, "--out", "run", *TINY, *dev).exit_code == 0
    assert headway_command("evaluate", "run", name, "--out", "scored").exit_code == 0
    predicted = headway_command("predict", "run", name)
    assert predicted.exit_code == 0
    assert len(predicted.stdout.splitlines()) == len((work / "scored" / "predictions.jsonl").read_text(encoding="utf-8").splitlines())


def test_a_run_folder_holds_all_that_a_run_was(trained):
    files = {"run.toml", "data.json", "split.json", "provenance.json", "steps.jsonl", "evaluations.jsonl", "scores.json"}
    assert {path.name for path in trained.iterdir()} == files | {"predictions.jsonl", "report.html", "model"}


def test_data_json_holds_where_the_seconds_went(trained):
    seconds = json.loads((trained / "data.json").read_text())["seconds"]
    assert list(seconds) == ["read", "audit", "start", "train", "answer", "save", "baselines", "score", "tell"]
    logged = sum(json.loads(line)["seconds"] for line in (trained / "steps.jsonl").read_text().splitlines())
    assert min(seconds.values()) >= 0
    assert seconds["train"] > logged > 0


@pytest.mark.parametrize(("columns", "head"), [("text,label", "fitted"), ("sentence1,sentence2,label", "random")])
def test_run_toml_holds_how_the_new_layer_started(work, headway_command, columns, head):
    rows = [f"{'a film,' * columns.startswith('sentence')}a {word} film {n},{word}" for n in range(6) for word in ("good", "bad")]
    (work / "rows.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    headway_command("train", "rows.csv", "--out", "run", "--set", "model.pooling=mean", "--set", "split.dev=0", *TINY)
    assert read_config(work / "run/run.toml").model.head == head


def test_run_toml_repeats_the_run(work, trained, headway_command):
    again = CliRunner().invoke(app, ["train", "--config", "run/run.toml", "--out", "again"])
    assert again.exit_code == 0, again.output
    assert (work / "again/model/model.safetensors").read_bytes() == (trained / "model/model.safetensors").read_bytes()


def test_predictions_come_in_input_order_whatever_their_length(trained, headway_command, work):
    texts = ["good film", "a bad bad bad film " * 9, "film", "the good film was by Ada " * 4]
    (work / "new.txt").write_text("\n".join(texts), encoding="utf-8")
    rows = [json.loads(line) for line in headway_command("predict", "run", "new.txt").stdout.splitlines()]
    assert [row["text"] for row in rows] == texts


def test_python_gives_what_the_command_line_gives(trained, headway_command):
    by_command = json.loads(headway_command("predict", "run", "a good film").stdout)
    by_python = headway.load(trained).predict(["a good film"])[0]
    assert (by_python.label, round(by_python.confidence, 6)) == (by_command["label"], by_command["confidence"])


def test_python_trains_what_the_command_line_trains(trained, work, pretrained_folder):
    settings = {"train": {"epochs": 1, "precision": "fp32"}, "model": {"base_model": str(pretrained_folder("bert"))}}
    run = headway.train("reviews.csv", out="python", settings=settings)
    assert (run / "model/model.safetensors").read_bytes() == (trained / "model/model.safetensors").read_bytes()


def test_evaluating_the_dev_part_gives_the_score_of_the_run(work, headway_command):
    (work / "dev.csv").write_text(REVIEWS, encoding="utf-8")
    headway_command("train", "reviews.csv", "--dev", "dev.csv", "--out", "run", "--set", "audit.allow=leakage", *TINY)
    headway_command("evaluate", "run", "dev.csv", "--out", "scored", "--set", "train.precision=fp32")
    of_run = json.loads((work / "run/scores.json").read_text())["dev"]
    assert json.loads((work / "scored/scores.json").read_text())["dev"] == of_run


BASELINE_ROWS = {
    "reviews.csv": {"majority class", "TF-IDF + logistic", "frozen + linear"},
    "tags.conll": {"gazetteer", "frozen + linear"},
    "questions.json": {"no answer", "first sentence", "nearest sentence", "frozen + linear"},
}


@pytest.mark.parametrize("name", FILES)
def test_baselines_are_scored_beside_the_model(work, headway_command, name):
    test = ["--set", "split.dev=0", "--test", name, "--set", "audit.allow=all"]
    result = headway_command("train", name, "--out", "run", *TINY, *test)
    assert result.exit_code == 0, result.output
    kept = json.loads((work / "run/scores.json").read_text())
    assert kept["baselines"]["test"].keys() == BASELINE_ROWS[name]
    assert all(kept["baselines"]["test"][row].keys() <= kept["test"].keys() for row in BASELINE_ROWS[name])
    assert all(f"\n  {row} " in result.output for row in [*BASELINE_ROWS[name], "this model"])


@pytest.mark.parametrize("name", FILES)
def test_baselines_have_intervals_and_the_model_is_tested_against_the_best(work, headway_command, name):
    result = headway_command("train", name, "--out", "run", *TINY, "--set", "split.dev=0", "--test", name, "--set", "audit.allow=all")
    kept = json.loads((work / "run/scores.json").read_text())
    main, worth = kept["main"]["test"], kept["worth"]["test"]
    values = {row: of_row[main] for row, of_row in kept["baselines"]["test"].items()}
    for row, value in values.items():
        low, high = kept["baseline_intervals"]["test"][row][main]
        assert low <= value <= high
        assert re.search(rf"^  {re.escape(row)} .*\(.*–.*\)", result.output, re.MULTILINE), result.output
    assert values[worth["best"]] == max(values.values())
    assert worth["differences"][main]["value"] == pytest.approx(kept["test"][main]["value"] - max(values.values()))


def test_the_head_that_training_started_from_is_a_baseline(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "model.pooling=mean", "--set", "split.dev=0.3")
    assert "\n  frozen + linear " in result.output
    assert "frozen + linear" in json.loads((work / "run/scores.json").read_text())["baselines"]["dev"]


@pytest.mark.parametrize(
    ("columns", "labels"),
    [("text,label", "01"), ("text,label", ("a;b", "b")), ("sentence1,sentence2,label", "01"), ("sentence1,sentence2,score", (1.5, 2.5))],
    ids=["classes", "label sets", "pairs", "numbers of pairs"],
)
def test_the_frozen_encoder_with_a_linear_head_is_a_baseline_of_every_kind_of_label(work, headway_command, columns, labels):
    rows = [
        f"{'it was,' * columns.startswith('sentence')}{word} film {n},{labels[k]}"
        for n in range(9)
        for k, word in enumerate(("good", "bad"))
    ]
    (work / "rows.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    result = headway_command("train", "rows.csv", "--out", "run", "--set", "split.dev=0.4", *TINY)
    assert result.exit_code == 0, result.output
    assert "frozen + linear" in json.loads((work / "run/scores.json").read_text())["baselines"]["dev"]


def test_a_network_from_scratch_has_no_frozen_baseline(work, headway_command):
    headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "model.weights=random", "--set", "split.dev=0.3")
    assert "frozen + linear" not in json.loads((work / "run/scores.json").read_text())["baselines"]["dev"]


def test_a_model_that_was_not_worth_it_is_told(work, headway_command):
    poor = ["--set", "train.learning_rate=1e-12", "--set", "train.epochs=1", "--set", "split.dev=0.4"]
    result = headway_command("train", "reviews.csv", "--out", "run", *poor)
    assert re.search(r"! worth it\? +no: TF-IDF \+ logistic reaches 1\.000 on dev, the model \.\d{3} \(accuracy\)", result.output)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            "a" * 18 + "b" * 7 + "a" * 5,
            r"perhaps: \.100 more than majority class on dev \(accuracy, -\.\d{3} to \+\.\d{3}\) may be chance, p = \.\d{3}",
        ),
        ("a" * 30, r"no: majority class reaches \.667 on dev, the model \.667 \(accuracy\)"),
        ("a" * 20 + "b" * 10, None),
    ],
)
def test_a_model_that_may_be_better_than_a_baseline_by_chance_is_told(answers, said):
    task = Classification("single", ("a", "b"), 128, 64)
    records = [Record("", label="a")] * 20 + [Record("", label="b")] * 10
    always = [Prediction(label="a")] * 30
    answers = [Prediction(label=label) for label in answers]
    beside = {"dev": {"majority class": Baseline(always, task.score(records, always))}}
    scores = {"dev": task.score(records, answers)}
    worth = {"dev": weigh_worth(task, records, answers, beside["dev"])}
    told = [event.text for event in say_worth(scores, beside, worth)]
    assert (told == []) if said is None else re.fullmatch(said, told[0])


def test_a_wanted_precision_is_kept_by_abstaining(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "decide.precision=0.3", "--set", "split.dev=0.5")
    assert result.exit_code == 0, result.output
    coverage = json.loads((work / "run/scores.json").read_text())["coverage"]["dev"]
    rows = [json.loads(line) for line in (work / "run/predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    answered = [row["label"] == row["gold"] for row in rows if not row.get("abstained")]
    assert coverage["coverage"] == len(answered) / len(rows)
    assert coverage["precision"] == sum(answered) / len(answered)
    assert coverage["curve"]["coverage"][-1] == 1.0
    share, precision = f"{coverage['coverage']:.0%}", f"{coverage['precision']:.1%}"
    assert f"answers {share} of dev at {precision} precision" in result.output


def test_a_precision_out_of_reach_abstains_from_everything_and_says_so(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "decide.precision=0.99")
    assert "from everything: no confidence gives 99.0% for sure; ask for less, or label more" in result.output
    assert json.loads(headway_command("predict", "run", "a good film").stdout)["abstained"] is True


def test_a_precision_without_a_dev_set_is_refused_before_training(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "decide.precision=0.9", "--set", "split.dev=0")
    assert (result.exit_code, "decide.precision is fitted on dev, and there is none" in result.stderr) == (2, True)
    assert not (work / "run").exists()


def test_every_score_of_a_run_stands_with_its_interval(trained):
    dev = json.loads((trained / "scores.json").read_text())
    overall, by_label = dev["dev"], dev["by_label"]["dev"]
    for of in (*overall.values(), *(row["f1"] for row in by_label.values())):
        assert 0 <= of["value"] <= 1 or -1 <= of["value"] < 0
        assert of["low"] <= of["value"] <= of["high"]
    assert {"accuracy", "macro_f1", "mcc", "ece", "brier"} <= overall.keys()


def test_python_evaluates_as_the_command_line_does(work, trained, headway_command):
    headway_command("evaluate", "run", "reviews.csv", "--out", "scored")
    of_command = json.loads((work / "scored/scores.json").read_text())["reviews"]["accuracy"]
    scores = headway.load(trained).evaluate("reviews.csv")
    assert (scores.values["accuracy"], *scores.interval("accuracy")) == tuple(of_command.values())


def test_a_run_and_an_evaluation_of_the_same_file_are_compared(work, headway_command):
    (work / "dev.csv").write_text(REVIEWS, encoding="utf-8")
    headway_command("train", "reviews.csv", "--dev", "dev.csv", "--out", "run", "--set", "audit.allow=leakage", *TINY)
    headway_command("evaluate", "run", "dev.csv", "--out", "scored", "--set", "train.precision=fp32")
    result = CliRunner().invoke(app, ["compare", "run", "scored"])
    assert result.exit_code == 0, result.output
    assert "won 0, lost 0 · the other 24 alike" in result.output


def test_evaluations_of_two_runs_tell_what_was_different_in_their_trainings(work, headway_command):
    """By the run folder, or by the model in it."""
    rows = REVIEWS.splitlines(keepends=True)
    (work / "fewer.csv").write_text("".join(rows[:-4]), encoding="utf-8")
    for name, file, rate, model in (("first", "reviews.csv", "0.001", "first"), ("second", "fewer.csv", "0.002", "second/model")):
        trained = headway_command("train", file, "--out", name, *TINY, "--set", "split.dev=0", "--set", f"train.learning_rate={rate}")
        assert trained.exit_code == 0, trained.output
        assert headway_command("evaluate", model, "reviews.csv", "--out", f"{name}-scored").exit_code == 0
    result = CliRunner().invoke(app, ["compare", "first-scored", "second-scored"])
    assert result.exit_code == 0, result.output
    assert "settings        train.learning_rate 0.001 -> 0.002\n" in result.output
    assert f"data            train has {len(rows) - 1} -> {len(rows) - 5} records\n" in result.output


def test_an_evaluation_says_which_model_was_scored_on_which_file(work, trained, headway_command):
    headway_command("evaluate", "run", "reviews.csv", "--out", "scored")
    told = json.loads((work / "scored/evaluated.json").read_text())
    assert told["model"] == str(trained)
    assert told["file"]["sha256"] == json.loads((trained / "data.json").read_text())["files"]["train"]["sha256"]


def test_standard_input_is_read_line_by_line(trained):
    result = CliRunner().invoke(app, ["predict", "run", "-"], input='a good film\n{"review": "a bad film"}\n')
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["a good film", "a bad film"]


def test_records_without_a_label_are_counted_and_left_out(work, headway_command):
    (work / "holes.csv").write_text(REVIEWS + "nobody has judged this,\n", encoding="utf-8")
    result = headway_command("train", "holes.csv", "--out", "run", *TINY)
    assert "1 records have no label and are left out" in result.output


def test_ending_early_is_said(work, headway_command, monkeypatch):
    scored, falling = Classification.score, iter([0.75, 0.5])
    monkeypatch.setattr(
        Classification, "score", lambda *given: replace(scored(*given), values={"accuracy": next(falling, 0.5), "macro_f1": 0.5})
    )
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY[2:], "--set", "train.epochs=10", "--set", "train.patience=1")
    assert "no better in 1 evaluations" in result.output


def test_a_loss_that_is_not_a_number_stops_and_says_what_to_do(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY, "--set", "train.learning_rate=1e38", "--set", "train.epochs=9")
    assert result.exit_code == 7
    assert "the loss is not a number any more, also at a rate of 1.25e+37 after 3 roll-backs; " in result.stderr
    assert "lower train.learning_rate (it is 1e+38)" in result.stderr


def test_a_setting_that_means_nothing_for_the_task_is_an_error(work, headway_command):
    result = headway_command("train", "tags.conll", "--out", "run", *TINY, "--set", "regularize.class_weights=balanced")
    assert result.exit_code == 2
    assert result.stderr == "ConfigError: regularize.class_weights = balanced is for classes, and there are none in ner; leave it away\n"


def test_attention_dropout_is_refused_where_it_would_be_passed_over(work, pretrained_folder):
    asked = ["--base-model", str(pretrained_folder("mpnet")), "--set", "regularize.attention_dropout=0.1"]
    result = CliRunner().invoke(app, ["train", "reviews.csv", *asked])
    assert "ConfigError: regularize.attention_dropout: mpnet is called padded and keeps its own; leave it away\n" in result.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ["regularize.r_drop=1", "regularize.dropout=0"],
            "ConfigError: regularize.r_drop compares two answers under dropout, and there is none; set regularize.dropout=0.1\n",
        ),
    ],
)
def test_a_recipe_that_means_nothing_here_is_refused_in_one_line(work, headway_command, settings, line):
    result = headway_command("train", "reviews.csv", *(word for setting in settings for word in ("--set", setting)))
    assert result.exit_code == 2
    assert result.stderr.endswith(line)


def test_a_finished_run_is_not_trained_again(trained, headway_command):
    before = (trained / "model/model.safetensors").stat().st_mtime_ns
    assert "has already finished" in headway_command("train", "--resume", "run").output
    assert (trained / "model/model.safetensors").stat().st_mtime_ns == before


# --- mistakes


MISTAKES = {
    "no such file": ("nothing.csv", None, 3, "nothing.csv: no such file"),
    "an empty file": ("empty.csv", "", 3, "empty.csv"),
    "one class only": (
        "one.csv",
        "text,label\ngood,pos\nfine,pos\nnice,pos\n",
        3,
        'every record has the label "pos"; at least two classes',
    ),
    "a missing column": ("other.csv", "title,body\nfoo,bar baz\nquux,bar foo\n", 3, "other.csv"),
    "a ragged row": ("ragged.csv", "text,label\ngood,pos\nbad,neg,more\nfine,pos\n", 3, "ragged.csv:3"),
    "an unclosed quote": ("quote.csv", 'text,label\ngood,pos\n"bad,neg\nfine,pos\n', 3, "quote.csv:3"),
    "a NUL byte": ("nul.csv", "text,label\ngood,pos\nb\0d,neg\n", 3, "nul.csv:3"),
    "an illegal tag": ("stray.conll", "Ada B-PER\nlives O\n\nParis I-PRE\n. O\n\n" + TAGGED, 3, "stray.conll:4"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_data_is_one_line_with_its_place(work, headway_command, mistake):
    name, text, code, said = MISTAKES[mistake]
    if text is not None:
        (work / name).write_text(text, encoding="utf-8")
    result = headway_command("train", name, "--out", "run", *TINY)
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("DataError: ")
    assert said in result.stderr
    assert not (work / "run").exists()


def test_another_encoding_is_named(work, headway_command):
    (work / "latin.csv").write_bytes("text,label\ncafé good,pos\nnaïve,neg\n".encode("cp1252"))
    result = headway_command("train", "latin.csv", *TINY)
    assert "latin.csv:2: byte 0xe9 is not UTF-8; the file reads as cp1252: add --set data.encoding=cp1252" in result.stderr


def test_a_label_unseen_in_training_is_an_error_before_training(work, headway_command):
    (work / "dev.csv").write_text("review,sentiment\na good film,possitive\na film,pos\n", encoding="utf-8")
    result = headway_command("train", "reviews.csv", "--dev", "dev.csv", "--out", "run", *TINY)
    assert result.exit_code == 3
    assert 'dev.csv:2: label "possitive" is not one of neg, pos' in result.stderr
    assert not (work / "run").exists()


def test_an_output_folder_that_exists_is_left_alone(work, trained, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY)
    assert result.exit_code == 5
    assert "run: exists; choose another --out; to go on with it: headway train --resume run" in result.stderr


def test_results_are_never_written_over(work, trained, headway_command):
    (work / "mine.jsonl").write_text("mine", encoding="utf-8")
    assert headway_command("predict", "run", "good", "--out", "mine.jsonl").exit_code == 5
    assert (work / "mine.jsonl").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_no_model_says_so(work, headway_command):
    result = headway_command("predict", ".", "good")
    assert result.exit_code == 4
    assert "not a model" in result.stderr


def test_a_mistyped_model_folder_names_the_nearest(trained, headway_command):
    assert 'did you mean "run"?' in headway_command("predict", "rum", "good").stderr


def test_a_mistyped_input_file_is_not_taken_for_a_text(trained, headway_command):
    result = headway_command("predict", "run", "reveiws.csv")
    assert (result.exit_code, "reveiws.csv: no such file" in result.stderr) == (3, True)


def test_resuming_on_changed_data_is_refused(work, trained, headway_command):
    (trained / "scores.json").unlink()
    (work / "reviews.csv").write_text(REVIEWS + "a new film,pos\n", encoding="utf-8")
    result = headway_command("train", "--resume", "run")
    assert result.exit_code == 3
    assert "has changed since the run was started" in result.stderr


def test_resuming_what_is_no_run_is_refused(work, headway_command):
    assert "no run to go on with" in headway_command("train", "--resume", "reviews.csv").stderr


def test_weights_that_can_hide_code_are_not_loaded(work, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    result = CliRunner().invoke(app, ["train", "reviews.csv", "--base-model", str(folder)])
    assert (result.exit_code, "no weights in safetensors" in result.stderr) == (4, True)


def test_a_model_that_is_nowhere_says_what_to_do(work, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = CliRunner().invoke(app, ["train", "reviews.csv", "--base-model", "nobody/nothing"])
    assert result.exit_code == 4
    assert "use --base-model minilm (bundled), or give the folder of a model" in result.stderr


def test_predict_in_python_wants_a_list(trained):
    with pytest.raises(DataError, match=r"predict takes a list of inputs: predict\(\[\.\.\.\]\)"):
        headway.load(trained).predict("a good film")


def test_load_in_python_names_what_is_missing(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        headway.load(tmp_path / "nothing")
