"""headway convert, and headway predict --format: data from one tool to another, and a model's answers back to where they are reviewed."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from typer.testing import CliRunner

from headway.cli import app
from headway.config import Data
from headway.jobs.predict import UNSURE
from headway.model import load
from headway.readers import formats_for, read

TAGGED = "".join(f"Ada B-PER\nLee I-PER\nlives O\nin O\n{place} B-LOC\n. O\n\n" for place in ("Paris", "London", "Berlin", "Warsaw") * 3)
REVIEWS = "nr;review;mood\n" + "".join(f"{n};a {word} film;{word}\n" for n, word in enumerate(["good", "bad"] * 6))
QUESTIONS = [
    {"id": f"q{n}", "question": "where?", "answers": [{"text": "Paris", "answer_start": 13}] if n % 3 else [], "is_impossible": n % 3 == 0}
    for n in range(12)
]
SQUAD = json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "Ada lives in Paris .", "qas": QUESTIONS}]}]})
FILES = {"ner": ("tags.conll", TAGGED), "qa": ("questions.json", SQUAD), "classification": ("reviews.csv", REVIEWS)}


def headway(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.values():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def models(pretrained_folder, tmp_path_factory):
    """Task -> a run folder, trained for one epoch with a tiny network."""
    root = tmp_path_factory.mktemp("models")
    for task, (name, text) in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
        settings = ("train.epochs=1", "train.precision=fp32", "split.dev=0")
        options = [word for setting in settings for word in ("--set", setting)]
        result = headway("train", root / name, "--out", root / task, "--base-model", pretrained_folder("bert"), *options)
        assert result.exit_code == 0, result.output
    return {task: root / task for task in FILES}


def said(path: Path) -> list[tuple]:
    """What the records of a file say, wherever it is said."""
    records = list(read(path, labels="welcome").records)
    spans = [[(r.text[s.start : s.end], s.label) for s in (r.entities or r.answers or ())] for r in records]
    return [(r.label, r.question, found) for r, found in zip(records, spans, strict=True)]


PLACES = [(task, name) for task in FILES for name in formats_for(task)]


@pytest.mark.parametrize(("task", "name"), PLACES)
def test_there_and_back_again_says_the_same(work, task, name):
    file = FILES[task][0]
    there = {"csv": "there.csv"}.get(name, "there")  # commas alone tell no table
    result = headway("convert", file, there, "--format", name)
    assert (result.exit_code, Path(there).exists()) == (0, True), result.output
    assert f"written as {name}" in result.stdout
    if name != "spacy":  # where nothing says which classes there are
        assert headway("convert", there, f"back{Path(file).suffix}").exit_code == 0
        assert said(Path(f"back{Path(file).suffix}")) == said(Path(file))


def test_the_ending_tells_the_format(work):
    assert "written as conllu" in headway("convert", "tags.conll", "out.conllu").stdout
    assert Path("out.conllu").read_text(encoding="utf-8").startswith("# text = Ada Lee lives in Paris .\n1\tAda\t")


def test_tags_follow_the_scheme_that_is_asked_for(work):
    headway("convert", "tags.conll", "out.conll", "--scheme", "BILOU")
    assert Path("out.conll").read_text(encoding="utf-8").startswith("Ada\tB-PER\nLee\tL-PER\nlives\tO\nin\tO\nParis\tU-LOC\n")
    assert "must be one of IOB2, " in headway("convert", "tags.conll", "x.conll", "--scheme", "BOI").stderr


def test_what_the_target_cannot_hold_is_counted(work):
    (work / "spans.jsonl").write_text('{"id": "7", "text": "Ann\'s", "entities": [[0, 3, "PER"]]}\n', encoding="utf-8")
    lines = headway("convert", "spans.jsonl", "out.conll").stdout
    assert "conll does not hold: ids (1)" in lines
    assert "conll does not hold: entity boundaries inside a word, which was cut in two (1)" in lines


def test_what_the_source_holds_and_no_record_does_is_said(work):
    Path("a.txt").write_text("Ann ran", encoding="utf-8")
    Path("a.ann").write_text("T1\tPER 0 3\tAnn\n#1\tNote T1\tsure\n", encoding="utf-8")
    assert "not in the records: notes (1)" in headway("convert", "a.ann", "a.jsonl").stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("tags.conll", "questions.json"), 5, "OutputError: questions.json: exists; choose another place"),
        (("tags.conll", "out.doc"), 2, "ConfigError: out.doc: its name tells no format; choose one with --format: csv, "),
        (("tags.conll", "x", "--format", "squad"), 2, "ConfigError: squad holds no ner; choose one of csv, "),
        (("tgas.conll", "x.csv"), 3, 'DataError: tgas.conll: no such file; did you mean "tags.conll"?'),
    ],
)
def test_a_mistake_is_one_line(work, words, code, message):
    result = headway("convert", *words)
    assert (result.exit_code, result.stderr.startswith(message)) == (code, True), result.stderr
    assert not list(work.glob("*.unfinished"))


@pytest.mark.parametrize("task", FILES)
def test_same_gives_the_format_that_was_read(work, models, task):
    file = FILES[task][0]
    result = headway("predict", models[task], file, "--format", "same", "--out", f"out{Path(file).suffix}")
    assert result.exit_code == 0, result.output
    before, after = read(Path(file)), read(Path(f"out{Path(file).suffix}"), labels="welcome")
    assert after.format == before.format
    assert [(r.text, r.question, r.id) for r in after.records] == [(r.text, r.question, r.id) for r in before.records]


def test_columns_of_a_table_keep_their_names(work, models):
    lines = headway("predict", models["classification"], "reviews.csv", "--format", "same", "--set", "data.id=nr").stdout.splitlines()
    assert lines[0] == "nr;review;mood"
    assert lines[1].startswith("0;a good film;")


def test_columns_that_the_model_does_not_read_stay_or_are_counted(work, models):
    lines = headway("predict", models["classification"], "reviews.csv", "--format", "same").stdout.splitlines()
    assert [line.split(";")[0] for line in lines] == ["nr", *map(str, range(12))]
    assert (
        "doccano does not hold: cells under nr (12)"
        in headway("predict", models["classification"], "reviews.csv", "--format", "doccano").stderr
    )


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, name in PLACES if name not in ("brat", "parquet", "arrow")])
def test_every_format_of_text_goes_to_standard_output(work, models, task, name):
    result = headway("predict", models[task], FILES[task][0], "--format", name)
    assert result.exit_code == 0, result.output
    Path("out.json" if name in ("json", "squad", "label studio") else "out.csv" if name == "csv" else "out").write_text(result.stdout)


def test_label_studio_gets_predictions_to_review(work, models):
    headway("convert", "tags.conll", "tasks.json", "--format", "label studio")
    result = headway("predict", models["ner"], "tasks.json", "--format", "same")
    tasks = json.loads(result.stdout)
    assert len(tasks) == 12
    assert all("annotations" not in task and "result" in task["predictions"][0] for task in tasks)


def test_a_folder_needs_a_place(work, models):
    result = headway("predict", models["ner"], "tags.conll", "--format", "brat")
    assert result.stderr.endswith("ConfigError: brat is a folder of files; name it with --out\n")
    assert headway("predict", models["ner"], "tags.conll", "--format", "brat", "--out", "notes").exit_code == 0
    assert len(list(Path("notes").glob("*.ann"))) == 12


def test_a_text_has_no_format_to_answer_in(work, models):
    result = headway("predict", models["ner"], "Ada ran", "--format", "same")
    assert result.stderr.startswith("ConfigError: --format same: only a file has a format")


def test_what_predictions_lose_is_said_beside_them(work, models):
    result = headway("predict", models["classification"], "reviews.csv", "--format", "doccano")
    assert "doccano does not hold: confidences (12)" in result.stderr


@pytest.mark.parametrize(("task", "file"), [("classification", "reviews.csv"), ("qa", "questions.json")])
def test_what_a_model_abstains_from_is_left_without_a_label_and_counted(work, models, task, file):
    """Of a model that answers only what it is surer of than in the mean."""
    trained = load(models[task])
    sures = [prediction.confidence for _, prediction in trained.stream(read(Path(file)).records)]
    trained.task = replace(trained.task, least_confidence=fmean(sures) + 1e-9)
    trained.save(Path("model"))
    abstained = [prediction.abstained for _, prediction in trained.stream(read(Path(file)).records)]
    result = headway("predict", "model", file, "--format", "same", "--out", f"out{Path(file).suffix}")
    assert result.exit_code == 0, result.output
    written = read(Path(f"out{Path(file).suffix}"), Data(label="mood"), labels="welcome").records
    labelled = [record.label is not None or record.answers is not None for record in written]
    assert labelled == [not one for one in abstained]
    assert f"the file does not hold: {UNSURE} ({sum(abstained)})" in result.stderr


def test_predictions_stream(models, work, monkeypatch):
    """What is answered comes out before all of the input is read."""
    monkeypatch.setattr("headway.model.BUFFER", 4)
    from headway.jobs.predict import predict_as

    taken = 0

    def lines():
        nonlocal taken
        for number in range(40):
            taken += 1
            yield f"a film {number}\n"

    monkeypatch.setattr(sys, "stdin", type("In", (), {"reconfigure": lambda *_, **__: None, "__iter__": lambda _: lines()})())
    next(predict_as(models["classification"], "-", name="doccano").pieces)
    assert taken <= 5
