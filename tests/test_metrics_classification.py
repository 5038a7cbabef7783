"""Scores of classes, label sets and numbers: examples worked by hand, and what holds for all of them."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.metrics import score_classes, score_label_sets, score_numbers
from headway.metrics.classification import main_metric

CLASSES = st.sampled_from(["ham", "spam", "été", ""])
CLASS_PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40)
SETS = st.sets(st.sampled_from("abcd")).map(tuple)
SET_PAIRS = st.lists(st.tuples(SETS, SETS), min_size=1, max_size=25)
MEANS = ("macro_f1", "micro_f1", "weighted_f1")
NUMBERS = st.floats(-1e6, 1e6)
NUMBER_PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=25)
promise = settings(max_examples=25)


def two_sides(pairs):
    return [list(side) for side in zip(*pairs, strict=True)]


def shuffled(pairs):
    return two_sides(random.Random(1).sample(pairs, len(pairs)))


def test_class_scores_equal_those_worked_by_hand():
    scores = score_classes(list("aaabbc"), list("aabbcc"))
    assert scores.by_label == {
        "a": pytest.approx({"precision": 1, "recall": 2 / 3, "f1": 4 / 5, "support": 3}),
        "b": pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2}),
        "c": pytest.approx({"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "support": 1}),
    }
    means = {"macro_f1": (4 / 5 + 1 / 2 + 2 / 3) / 3, "micro_f1": 4 / 6, "weighted_f1": (3 * 4 / 5 + 2 * 1 / 2 + 2 / 3) / 6}
    correlation = (4 * 6 - (3 * 2 + 2 * 2 + 1 * 2)) / math.sqrt((6**2 - (9 + 4 + 1)) * (6**2 - (4 + 4 + 4)))  # Gorodkin 2004
    assert scores.values == pytest.approx({"accuracy": 4 / 6, **means, "mcc": correlation})


def test_a_model_that_only_says_the_larger_class_is_accurate_and_useless():
    values = score_classes(["ham"] * 87 + ["spam"] * 13, ["ham"] * 100, positive="spam").values
    assert values["accuracy"] == 0.87
    assert values["macro_f1"] == pytest.approx((2 * 87 / 187 + 0) / 2)
    assert (values["mcc"], values["precision"], values["recall"], values["f1"]) == (0.0, 0.0, 0.0, 0.0)


@promise
@given(CLASS_PAIRS)
def test_exchanging_gold_and_predicted_exchanges_precision_and_recall(pairs):
    gold, predicted = two_sides(pairs)
    there, back = score_classes(gold, predicted), score_classes(predicted, gold)
    assert {label: row["precision"] for label, row in there.by_label.items()} == {
        label: row["recall"] for label, row in back.by_label.items()
    }
    for name in ("accuracy", "macro_f1", "micro_f1", "mcc"):
        assert there.values[name] == pytest.approx(back.values[name])


@promise
@given(CLASS_PAIRS)
def test_the_mean_f1_scores_lie_between_the_worst_and_the_best_class(pairs):
    scores = score_classes(*two_sides(pairs))
    each = [row["f1"] for row in scores.by_label.values()]
    assert all(min(each) - 1e-9 <= scores.values[mean] <= max(each) + 1e-9 for mean in ("macro_f1", "weighted_f1"))
    assert scores.values["micro_f1"] == pytest.approx(scores.values["accuracy"])


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


def test_classes_that_occur_once_are_still_classes_and_warn_of_nothing():
    gold = [f"author {number}" for number in range(30)]
    assert set(score_classes(gold, gold).values.values()) == {1.0}


def test_a_single_class_is_right_and_correlates_with_nothing():
    values = score_classes(["a", "a"], ["a", "a"]).values
    assert (values["accuracy"], values["macro_f1"], values["mcc"]) == (1.0, 1.0, 0.0)


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


def test_label_set_scores_equal_those_worked_by_hand():
    scores = score_label_sets(["ab", "a", "", "ca"], ["ab", "ab", "", "c"])
    assert scores.by_label == {
        "a": pytest.approx({"precision": 1, "recall": 2 / 3, "f1": 4 / 5, "support": 3}),
        "b": pytest.approx({"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "support": 1}),
        "c": {"precision": 1, "recall": 1, "f1": 1, "support": 1},
    }
    means = {"macro_f1": (4 / 5 + 2 / 3 + 1) / 3, "micro_f1": 2 * 4 / (5 + 5), "weighted_f1": (3 * 4 / 5 + 2 / 3 + 1) / 5}
    each_record = {"samples_f1": (1 + 2 / 3 + 1 + 2 / 3) / 4, "subset_accuracy": 2 / 4}
    assert scores.values == pytest.approx({**means, **each_record, "absent_labels": 0})


@promise
@given(CLASS_PAIRS)
def test_sets_of_one_label_score_as_classes_do(pairs):
    gold, predicted = two_sides(pairs)
    sets, classes = score_label_sets([{label} for label in gold], [{label} for label in predicted]), score_classes(gold, predicted)
    assert sets.by_label == classes.by_label
    assert [sets.values[mean] for mean in MEANS] == pytest.approx([classes.values[mean] for mean in MEANS])
    assert sets.values["subset_accuracy"] == sets.values["samples_f1"] == classes.values["accuracy"]


def test_records_without_any_label_are_right_and_say_nothing_about_labels():
    scores = score_label_sets([(), ()], [(), ()], labels=["a"])
    assert scores.by_label == {}
    assert scores.values == {**dict.fromkeys(MEANS, 0.0), "samples_f1": 1.0, "subset_accuracy": 1.0, "absent_labels": 1.0}


def test_where_the_gold_has_no_label_every_predicted_one_is_wrong():
    assert set(score_label_sets([(), ()], [("a",), ("b",)]).values.values()) == {0.0}


def test_the_one_label_there_is_scores_by_itself_and_not_with_its_absence():
    assert score_label_sets([("a",), ("a",), ()], [("a",), (), ()]).values["macro_f1"] == pytest.approx(2 / 3)


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


def test_number_scores_equal_those_worked_by_hand():
    values = score_numbers([1, 2, 3, 4], [1, 3, 2, 6]).values
    assert values == pytest.approx({"pearson": 7 / math.sqrt(5 * 14), "spearman": 1 - 6 * 2 / (4 * 15), "mae": 1, "rmse": math.sqrt(6 / 4)})


def test_equal_numbers_share_a_rank():
    assert score_numbers([5, 5, 9], [1, 2, 3]).values["spearman"] == pytest.approx(1.5 / math.sqrt(1.5 * 2))


@promise
@given(NUMBER_PAIRS)
def test_number_scores_stay_in_bounds_and_do_not_depend_on_the_order_of_records(pairs):
    values = score_numbers(*two_sides(pairs)).values
    assert all(-1 <= values[name] <= 1 for name in ("pearson", "spearman"))
    assert 0 <= values["mae"] <= values["rmse"] * (1 + 1e-9) + 1e-150
    mixed = score_numbers(*shuffled(pairs)).values
    assert all(values[name] == pytest.approx(mixed[name]) for name in ("spearman", "mae", "rmse"))


def test_correlations_do_not_depend_on_units():
    gold, predicted = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 6.0]
    there = score_numbers(gold, predicted).values
    scaled = score_numbers([1000 * number + 7 for number in gold], predicted).values
    turned = score_numbers(gold, [-number for number in predicted]).values
    curved = score_numbers(gold, [math.exp(number) for number in predicted]).values
    assert [scaled["pearson"], scaled["spearman"]] == pytest.approx([there["pearson"], there["spearman"]])
    assert [turned["pearson"], turned["spearman"]] == pytest.approx([-there["pearson"], -there["spearman"]])
    assert curved["spearman"] == pytest.approx(there["spearman"])


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_an_error_and_not_a_score(number):
    with pytest.raises(ValueError, match="must not contain infs or NaNs"):
        score_numbers([1.0, 2.0], [number, 2.0])


def test_nearly_constant_numbers_warn_of_nothing():
    assert -1 <= score_numbers([1.0, 2.0, 3.0], [1.0, 1.0, math.nextafter(1.0, 2)]).values["pearson"] <= 1


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
