"""Scores of classes, label sets and numbers: scikit-learn and scipy are the references."""

import math
import random
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from headway.metrics import score_classes, score_label_sets, score_numbers
from headway.metrics.classification import main_metric

CLASSES = st.sampled_from(["ham", "spam", "été", ""])
CLASS_PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40)
SETS = st.sets(st.sampled_from("abcd")).map(tuple)
SET_PAIRS = st.lists(st.tuples(SETS, SETS), min_size=1, max_size=25)
NUMBERS = st.floats(-1e6, 1e6)
NUMBER_PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=25)
promise = settings(deadline=None, max_examples=60)


def two_sides(pairs):
    return [list(side) for side in zip(*pairs, strict=True)]


def shuffled(pairs):
    return two_sides(random.Random(1).sample(pairs, len(pairs)))


@promise
@given(CLASS_PAIRS)
def test_class_scores_equal_those_of_scikit_learn(pairs):
    gold, predicted = two_sides(pairs)
    scores = score_classes(gold, predicted)
    with warnings.catch_warnings(action="ignore"):
        for average in ("macro", "micro", "weighted"):
            assert scores.values[f"{average}_f1"] == pytest.approx(sk.f1_score(gold, predicted, average=average, zero_division=0))
        assert scores.values["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted))
        assert scores.values["mcc"] == pytest.approx(sk.matthews_corrcoef(gold, predicted), abs=1e-12)
        table = sk.classification_report(gold, predicted, output_dict=True, zero_division=0)
    for label, row in scores.by_label.items():
        assert list(row.values()) == pytest.approx(list(table[label].values()))


@promise
@given(CLASS_PAIRS)
def test_class_scores_stay_in_bounds_and_do_not_depend_on_the_order_of_records(pairs):
    scores = score_classes(*two_sides(pairs), positive="spam")
    assert -1 - 1e-9 <= scores.values["mcc"] <= 1 + 1e-9
    assert all(0 <= value <= 1 + 1e-9 for name, value in scores.values.items() if name != "mcc")
    assert scores == score_classes(*shuffled(pairs), positive="spam")


def test_perfect_classes_score_one():
    gold = ["a", "b", "b", "c"]
    assert set(score_classes(gold, gold, positive="b").values.values()) == {1.0}


def test_the_positive_class_has_its_own_precision_recall_and_f1():
    gold, predicted = ["spam", "spam", "ham", "ham", "ham"], ["spam", "ham", "spam", "ham", "ham"]
    values = score_classes(gold, predicted, positive="spam").values
    assert (values["precision"], values["recall"], values["f1"]) == (0.5, 0.5, 0.5)


def test_a_positive_class_that_never_occurs_scores_zero():
    assert score_classes(["ham"], ["ham"], positive="spam").values["f1"] == 0.0


def test_without_a_positive_class_none_is_guessed():
    assert "precision" not in score_classes(["ham", "spam"], ["ham", "spam"]).values


def test_a_gold_class_unseen_in_training_counts_as_an_error():
    scores = score_classes(["a", "b", "new"], ["a", "b", "a"])
    assert scores.values["accuracy"] == pytest.approx(2 / 3)
    assert scores.by_label["new"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1.0}
    assert scores.values["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


@pytest.mark.parametrize(
    ("counts", "main"),
    [({"ham": 87, "spam": 13}, "macro_f1"), ({"a": 30, "b": 10}, "accuracy"), ({"a": 31, "b": 10}, "macro_f1"), ({"a": 5}, "accuracy")],
)
def test_imbalanced_gold_is_judged_by_macro_f1(counts, main):
    assert main_metric(Counter(counts)) == main


@pytest.mark.parametrize("score", [score_classes, score_label_sets, score_numbers])
def test_nothing_to_score_is_an_error_and_not_a_number(score):
    with pytest.raises(ValueError, match="nothing to score: there are no records"):
        score([], [])


def test_a_missing_prediction_is_never_dropped_from_a_score():
    with pytest.raises(ValueError, match="shorter"):
        score_classes(["a", "b"], ["a"])


@promise
@given(SET_PAIRS)
def test_label_set_scores_equal_those_of_scikit_learn(pairs):
    gold, predicted = two_sides(pairs)
    values = score_label_sets(gold, predicted).values
    seen = sorted({label for labels in gold + predicted for label in labels})
    to_bits = MultiLabelBinarizer(classes=[*seen, "never"]).fit([])  # scikit-learn takes one column for classes
    bits = to_bits.transform(gold), to_bits.transform(predicted)
    assert values["subset_accuracy"] == pytest.approx(np.mean((bits[0] == bits[1]).all(axis=1)))
    if seen:
        for average in ("macro", "micro", "weighted"):
            assert values[f"{average}_f1"] == pytest.approx(sk.f1_score(*bits, labels=range(len(seen)), average=average, zero_division=0))
        assert values["samples_f1"] == pytest.approx(sk.f1_score(*bits, average="samples", zero_division=1))


@promise
@given(SET_PAIRS)
def test_label_set_scores_stay_in_bounds_and_do_not_depend_on_the_order_of_records(pairs):
    values = score_label_sets(*two_sides(pairs)).values
    assert all(0 <= value <= 1 + 1e-9 for value in values.values())
    assert values == pytest.approx(score_label_sets(*shuffled(pairs)).values)


def test_perfect_label_sets_score_one():
    gold = [("a",), ("a", "b"), ()]
    values = score_label_sets(gold, gold).values
    assert {value for name, value in values.items() if name != "absent_labels"} == {1.0}


def test_labels_that_never_occur_are_counted_and_left_out_of_the_macro_mean():
    values = score_label_sets([("a",)], [("a",)], labels=["a", "b", "c"]).values
    assert (values["macro_f1"], values["absent_labels"]) == (1.0, 2.0)


def test_a_label_that_is_only_predicted_lowers_the_macro_mean():
    assert score_label_sets([("a",)], [("a", "b")], labels=["a", "b"]).values["macro_f1"] == 0.5


@promise
@given(NUMBER_PAIRS)
def test_number_scores_stay_in_bounds_and_equal_those_of_scipy(pairs):
    gold, predicted = two_sides(pairs)
    values = score_numbers(gold, predicted).values
    assert -1 <= values["pearson"] <= 1
    assert 0 <= values["mae"] <= values["rmse"] * (1 + 1e-9) + 1e-150
    if len(set(gold)) > 1 and len(set(predicted)) > 1:
        assert values["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic, abs=1e-9)


def test_pearson_equals_that_of_scipy():
    gold, predicted = np.random.default_rng(1).normal(size=(2, 50))
    assert score_numbers(gold.tolist(), predicted.tolist()).values["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic)


@pytest.mark.parametrize("constant", [0.1, 0.0, 1e100])
def test_constant_predictions_correlate_with_nothing_and_warn_of_nothing(constant):
    values = score_numbers([0.1, 0.2, 0.3], [constant] * 3).values
    assert (values["pearson"], values["spearman"]) == (0.0, 0.0)


def test_one_number_has_no_correlation_but_an_error():
    assert score_numbers([1.0], [3.0]).values == {"pearson": 0.0, "spearman": 0.0, "mae": 2.0, "rmse": 2.0}


def test_perfect_numbers_correlate_fully_and_have_no_error():
    values = score_numbers([1.0, 2.0, 4.0], [1.0, 2.0, 4.0]).values
    assert values == pytest.approx({"pearson": 1.0, "spearman": 1.0, "mae": 0.0, "rmse": 0.0})


def test_tiny_numbers_do_not_vanish_from_the_correlation():
    assert math.isclose(score_numbers([1e-200, 2e-200, 3e-200], [1.0, 2.0, 3.0]).values["pearson"], 1.0)
