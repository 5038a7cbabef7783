"""Scores of parts of the records: what is in a slice, how it scores, and what a run tells of it."""

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from headway.cli import app
from headway.jobs.scores import weak
from headway.metrics import SLICES, Slice, by_value, score_classes, score_numbers, score_spans, slice_scores
from headway.records import Prediction, Record, Span
from headway.words import UNSPACED, WORD


def positions(members) -> dict[str, list[int]]:
    return {name: places.tolist() for name, places in members.items()}


def by_class_scores(records, predictions):
    return score_classes([record.label for record in records], [prediction.label for prediction in predictions])


def by_span_scores(records, predictions):
    return score_spans([record.entities for record in records], [prediction.entities for prediction in predictions])


def texts(*lengths: int) -> list[Record]:
    return [Record(" ".join(["word"] * length), label="a") for length in lengths]


@pytest.mark.parametrize("name", SLICES)
def test_every_record_with_a_value_is_in_a_slice(name):
    generator = random.Random(1)
    records = [
        Record(" ".join(generator.choices("abcdefghij", k=n % 7 + 1)), label=generator.choice("xy"), group=f"g{n % 3}") for n in range(50)
    ]
    records[7] = Record("once in a lifetime", label="x", group="g1")
    found = positions(SLICES[name](records))
    assert sorted(place for places in found.values() for place in places) == list(range(50))
    assert len(found) > 1


def test_texts_are_cut_into_thirds_by_their_words():
    assert positions(SLICES["length"](texts(1, 9, 2, 3, 8, 4))) == {
        "up to 2 words": [0, 2],
        "over 2, up to 4 words": [3, 5],
        "over 4 words": [1, 4],
    }


def test_texts_of_equal_length_stay_together():
    assert positions(SLICES["length"](texts(5, 5, 5))) == {"up to 5 words": [0, 1, 2]}


CHINESE = ("我喜欢这部电影", "服务很差再也不来了因为等了很久", "价格合理味道不错服务也好", "还可以", "非常糟糕的一次体验我们等了两个小时")


def test_where_no_spaces_are_written_a_character_is_a_word():
    records = [Record(text, label="a") for text in CHINESE * 4]
    assert {name: len(places) for name, places in SLICES["length"](records).items()} == {
        "up to 7 words": 8,
        "over 7, up to 15 words": 8,
        "over 15 words": 4,
    }
    assert positions(SLICES["rare words"]([Record("好店"), Record("店好"), Record("差店")])) == {"none": [0, 1], "some": [2]}


SPACED = st.characters(exclude_categories=("Cs",)).filter(lambda character: not re.match(f"[{UNSPACED}]", character))


@given(st.lists(st.text(SPACED), max_size=5))
def test_where_spaces_are_written_words_are_what_stands_between_them_and_marks(parts):
    text = " ".join(parts)
    assert WORD.findall(text) == re.findall(r"\w+", text)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([Record("", label="a"), Record("", label="b"), Record("", label="a")], {"a": [0, 2], "b": [1]}),
        ([Record("", label=("a", "b")), Record("", label=("b",)), Record("", label=())], {"a": [0], "b": [0, 1], "no label": [2]}),
        ([Record("x", entities=(Span(0, 1, "PER"),)), Record("x", entities=())], {"PER": [0], "no entity": [1]}),
        ([Record("x", question="q", answers=(Span(0, 1),)), Record("x", question="q", answers=())], {"answer": [0], "no answer": [1]}),
    ],
)
def test_a_record_is_in_the_slice_of_each_of_its_classes(records, found):
    assert positions(SLICES["class"](records)) == found


def test_a_word_is_rare_however_often_a_text_says_it_or_is_repeated():
    records = [Record("Good film"), Record("good film"), Record("odd odd film"), Record("odd odd film"), Record("oddity film")]
    assert positions(SLICES["rare words"](records)) == {"none": [0, 1], "some": [2, 3, 4]}


def test_a_slice_scores_as_its_records_do():
    generator = random.Random(2)
    records = [Record("", label=generator.choice("ab"), group=generator.choice("xyz")) for _ in range(60)]
    predictions = [Prediction(label=generator.choice("ab")) for _ in records]
    found = slice_scores(by_class_scores, records, predictions, SLICES["class"](records))
    for label, of_class in found.items():
        right = [p.label == label for r, p in zip(records, predictions, strict=True) if r.label == label]
        assert (of_class.records, of_class.metric, of_class.value) == (len(right), "accuracy", pytest.approx(sum(right) / len(right)))
        assert of_class.low < of_class.value < of_class.high


def test_where_no_entity_is_to_be_found_none_is_scored():
    records = [Record("Ada was here", entities=(Span(0, 3, "PER"),))] * 6 + [Record("it was here", entities=())] * 6
    said = [Prediction(entities=record.entities) for record in records]
    members = SLICES["class"](records) | {"all": np.arange(12)}
    assert set(slice_scores(by_span_scores, records, said, members)) == {"PER", "all"}


def test_slices_of_a_few_records_are_left_away(monkeypatch):
    records = texts(*[1] * 20)
    members = by_value(["middle"] * 6 + ["small"] * 4 + ["big"] * 9 + [""])
    found = slice_scores(by_class_scores, records, [Prediction(label="a")] * 20, members)
    assert {name: of.records for name, of in found.items()} == {"middle": 6, "big": 9}
    monkeypatch.setattr("headway.metrics.slices.MOST", 1)
    assert list(slice_scores(by_class_scores, records, [Prediction(label="a")] * 20, members)) == ["big"]


def test_entities_of_a_slice_are_counted_together():
    record = Record("Ada Paris", entities=(Span(0, 3, "PER"), Span(4, 9, "LOC")))
    predictions = [Prediction(entities=(Span(0, 3, "PER"),))] * 6

    def score(records, predictions):
        return score_spans([r.entities for r in records], [p.entities for p in predictions])

    assert slice_scores(score, [record] * 6, predictions, by_value(["a"] * 6))["a"].value == pytest.approx(2 / 3)


# --- a run


ROWS = [(f"a {word} film number {n}", label, f"shop {n % 2}") for n in range(12) for word, label in (("good", "pos"), ("bad", "neg"))]


@pytest.fixture
def work(tmp_path, monkeypatch, pretrained_folder):
    monkeypatch.chdir(tmp_path)
    lines = ["review,sentiment,shop", *(",".join(row) for row in ROWS)]
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    named = ["--set", "data.text=review", "--set", "data.label=sentiment", "--base-model", str(pretrained_folder("bert"))]
    few = ["--set", "train.epochs=1", "--set", "train.precision=fp32", "--set", "split.dev=0.5"]

    def train(*words):
        return CliRunner().invoke(app, ["train", "reviews.csv", "--out", "run", *named, *few, *words])

    return train


def test_a_run_and_an_evaluation_score_the_slices_that_are_asked_for(work, tmp_path):
    result = work("--set", "report.slices=class,shop")
    assert result.exit_code == 0, result.output
    dev = json.loads((tmp_path / "run/scores.json").read_text())["slices"]["dev"]
    assert {name: set(of_name) for name, of_name in dev.items()} == {"class": {"neg", "pos"}, "shop": {"shop 0", "shop 1"}}
    assert sum(of["records"] for of in dev["class"].values()) == 12
    result = CliRunner().invoke(app, ["evaluate", "run", "reviews.csv", "--out", "scored", "--set", "report.slices=shop"])
    assert result.exit_code == 0, result.output
    scored = json.loads((tmp_path / "scored/scores.json").read_text())
    overall, shops = scored["reviews"]["accuracy"]["value"], scored["slices"]["reviews"]["shop"]
    assert sum(of["value"] * of["records"] for of in shops.values()) / 24 == pytest.approx(overall)


def test_a_column_that_is_not_there_is_told_before_training(work, tmp_path):
    result = work("--set", "report.slices=shoop")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "(report.slices)" in result.stderr
    assert not (tmp_path / "run").exists()


def test_no_slices_are_made_where_none_are_asked_for(work, tmp_path):
    assert work("--set", "report.slices=").exit_code == 0
    assert json.loads((tmp_path / "run/scores.json").read_text())["slices"] == {"dev": {}}


def test_slices_that_are_surely_worse_are_shown_the_worst_first():
    def of(value: float, reach: float) -> Slice:
        return Slice(50, "accuracy", value, value - reach, value + reach)

    scores = score_classes(["a"] * 9 + ["b"], ["a"] * 10)
    [table] = weak(scores, {"shop": {"x": of(0.7, 0.1), "y": of(0.85, 0.1), "z": of(0.6, 0.2), "w": of(0.99, 0.01)}}, title="weak where")
    assert list(table.rows) == ["shop: z", "shop: x"]
    assert list(weak(scores, {"shop": {"x": of(0.9, 0.05)}}, title="weak where")) == []


def test_of_errors_the_larger_are_the_worse():
    scores = score_numbers([1.0, 2.0], [2.0, 3.0])
    slices = {"length": {"short": Slice(9, "mae", 0.5, 0.4, 0.6), "long": Slice(9, "mae", 1.5, 1.2, 1.8)}}
    assert [list(table.rows) for table in weak(scores, slices, title="")] == [["length: long"]]
