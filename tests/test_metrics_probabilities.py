"""Calibration and average precision: scikit-learn is the reference where it has them."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss

from headway.metrics import complete, score_answers, score_classes, score_label_sets, score_numbers, score_spans, with_probabilities
from headway.metrics.calibration import bins, judge, reliability
from headway.records import Prediction, Record, Span

promise = settings(max_examples=40)
LABELS = "abc"


def classified(records: int, seed: int, *, labels: str = LABELS, sure: float = 1.0):
    """Records of one class, predicted with probabilities that are true where `sure` is 1."""
    generator = np.random.default_rng(seed)
    honest_NC = generator.dirichlet(np.full(len(labels), 0.5), size=records)
    gold = [labels[generator.choice(len(labels), p=row)] for row in honest_NC]
    said_NC = honest_NC**sure / (honest_NC**sure).sum(axis=1, keepdims=True)
    predicted = [
        Prediction(label=labels[row.argmax()], confidence=float(row.max()), scores=dict(zip(labels, row.tolist(), strict=True)))
        for row in said_NC
    ]
    return [Record("", label=label) for label in gold], predicted


def scores_of(records, predictions):
    scores = score_classes([record.label for record in records], [prediction.label for prediction in predictions])
    return with_probabilities(scores, records, predictions)


def labelled(records: int, seed: int):
    """Records of any number of labels; probabilities come in tenths, so that many are equal."""
    generator = random.Random(seed)
    gold = [tuple(label for label in LABELS if generator.random() < 0.3) for _ in range(records)]
    scores = [{label: generator.choice([0.3 * (label in having) + 0.1 * n for n in range(6)]) for label in LABELS} for having in gold]
    return [Record("", label=labels) for labels in gold], [Prediction(label=(), scores=of_record) for of_record in scores]


# --- average precision


@promise
@given(records=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_average_precision_is_that_of_scikit_learn(records, seed):
    records, predictions = labelled(records, seed)
    scores = with_probabilities(score_label_sets([r.label for r in records], [p.label for p in predictions]), records, predictions)
    gold = {label: [label in record.label for record in records] for label in LABELS}
    expected = {
        label: average_precision_score(having, [prediction.scores[label] for prediction in predictions])
        for label, having in gold.items()
        if any(having)
    }
    found = {label: row["average_precision"] for label, row in scores.by_label.items() if "average_precision" in row}
    assert found == pytest.approx(expected)
    assert scores.values["average_precision"] == pytest.approx(np.mean(list(expected.values())) if expected else 0)


@promise
@given(records=st.integers(1, 30), seed=st.integers(0, 10**6))
def test_a_weighed_average_precision_is_that_of_the_records_drawn_so_often(records, seed):
    records, predictions = labelled(records, seed)

    def measured(places):
        chosen, said = [records[i] for i in places], [predictions[i] for i in places]
        return with_probabilities(score_label_sets([r.label for r in chosen], [p.label for p in said]), chosen, said)

    times_N = np.random.default_rng(seed).integers(0, 3, size=len(records))
    drawn = [place for place, times in enumerate(times_N) for _ in range(times)]
    if drawn:
        weighed = measured(range(len(records))).weigh(times_N[:, None].astype(float))
        expected = measured(drawn).values
        for metric in ("average_precision", "brier"):
            assert np.nan_to_num(weighed[None, metric][0]) == pytest.approx(expected[metric], abs=1e-9)


def test_a_label_that_the_model_does_not_know_counts():
    records = [Record("", label=("new",)), Record("", label=("a",))]
    predictions = [Prediction(label=("a",), scores={"a": 0.9}), Prediction(label=("a",), scores={"a": 0.8})]
    scores = with_probabilities(score_label_sets([("new",), ("a",)], [("a",), ("a",)]), records, predictions)
    assert scores.by_label["new"]["average_precision"] == 0.5


# --- calibration


@promise
@given(records=st.integers(2, 60), seed=st.integers(0, 10**6), labels=st.sampled_from(["ab", "abc"]))
def test_the_brier_score_is_that_of_scikit_learn(records, seed, labels):
    records, predictions = classified(records, seed, labels=labels)
    probabilities_NC = np.array([list(prediction.scores.values()) for prediction in predictions])
    expected = brier_score_loss([r.label for r in records], probabilities_NC, labels=list(labels), scale_by_half=True)
    assert scores_of(records, predictions).values["brier"] == pytest.approx(expected)


def test_honest_probabilities_have_a_small_calibration_error_and_boasts_a_large_one():
    honest, shy, boasting = (scores_of(*classified(5000, 1, sure=sure)).values["ece"] for sure in (1.0, 0.4, 3.0))
    assert honest < 0.02
    assert shy > 0.1
    assert boasting > 0.1


def test_the_calibration_error_is_what_the_reliability_diagram_shows():
    records, predictions = classified(700, 2, sure=2.0)
    diagram = reliability(judge(records, predictions))
    assert sum(of_bin.count for of_bin in diagram) == 700
    assert [of_bin.said for of_bin in diagram] == sorted(of_bin.said for of_bin in diagram)
    error = sum(of_bin.count * abs(of_bin.said - of_bin.right) for of_bin in diagram) / 700
    assert scores_of(records, predictions).values["ece"] == pytest.approx(error)


def test_bins_are_of_equal_size_and_equal_probabilities_stay_together():
    records, predictions = classified(600, 3)
    assert {len(places) for places in bins(judge(records, predictions))} == {60}
    coarse = [Prediction(label="a", confidence=round(p.confidence * 4) / 4, scores=None) for p in predictions]
    judged = judge(records, coarse)
    said = [set(judged.probability_M[places].tolist()) for places in bins(judged)]
    assert sum(map(len, said)) == len(set().union(*said))


def test_few_things_judged_are_one_bin():
    assert len(reliability(judge(*classified(30, 4)))) == 1


def test_an_entity_is_as_sure_as_it_is_right():
    record = Record("Ada Paris", entities=(Span(0, 3, "PER"), Span(4, 9, "LOC")))
    said = Prediction(entities=(Span(0, 3, "PER", 0.9), Span(0, 3, "PER", 0.6), Span(4, 9, "ORG", 0.5), Span(5, 9, "LOC")))
    judged = judge([record], [said])
    assert [tuple(row) for row in np.stack([judged.probability_M, judged.right_M], axis=1)] == [(0.9, 1), (0.6, 0), (0.5, 0)]
    assert judged.error_M == pytest.approx([0.01, 0.36, 0.25])


def test_an_answer_is_as_sure_as_it_matches_exactly():
    record = Record("the cat sat", question="who", answers=(Span(0, 7),))
    judged = judge([record] * 2, [Prediction(answer="Cat", confidence=0.75), Prediction(answer="sat", confidence=0.25)])
    assert (judged.right_M.tolist(), judged.error_M.tolist()) == ([1.0, 0.0], [0.0625, 0.0625])


def test_a_class_that_the_model_does_not_know_was_given_no_probability():
    judged = judge([Record("", label="new")], [Prediction(label="a", confidence=0.75, scores={"a": 0.75, "b": 0.25})])
    assert judged.error_M.tolist() == [(0.75**2 + 0.25**2 + 1) / 2]


def test_what_is_said_without_a_probability_is_not_judged():
    records = [Record("", label=1.5), Record("", label=2.5)]
    predictions = [Prediction(label=1.0), Prediction(label=2.0)]
    scores = complete(score_numbers([1.5, 2.5], [1.0, 2.0]), records, predictions)
    assert judge(records, predictions) is None
    assert "ece" not in scores.values
    assert scores.reliability == ()


def test_everything_has_an_interval_once_it_is_complete():
    span, record = Span(0, 3, "PER", 0.9), Record("Ada lives", entities=(Span(0, 3, "PER"),), group="x")
    entities = complete(score_spans([record.entities] * 9, [[span]] * 9), [record] * 9, [Prediction(entities=(span,))] * 9)
    asked = Record("Ada lives", question="who", answers=(Span(0, 3),))
    answers = complete(score_answers([["Ada"]] * 9, ["Ada"] * 9), [asked] * 9, [Prediction(answer="Ada", confidence=0.8)] * 9)
    for scores in (entities, answers):
        assert {metric for label, metric in scores.intervals if label is None} == scores.values.keys()
