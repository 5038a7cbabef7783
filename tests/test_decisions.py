"""What is decided on dev: temperature, the threshold of a rare class, and when to abstain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import f1_score

from headway.decisions import (
    ALWAYS,
    FEWEST,
    coverage_curve,
    fit_choice_temperature,
    fit_least_confidence,
    fit_rare_threshold,
    fit_temperature,
    temper,
    yes_or_no,
)
from headway.metrics import best_macro_threshold

promise = settings(max_examples=100)
answers = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=60)


def drawn(seed, *, records=4000, classes=3, sharpness=2.0):
    """Logits, and classes that come true as often as the logits say."""
    random = np.random.default_rng(seed)
    logits_RC = random.normal(size=(records, classes)) * sharpness
    gold_R = np.array([random.choice(classes, p=row) for row in softmax(logits_RC, axis=1)])
    return logits_RC, gold_R


# --- temperature


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_model_too_sure(factor):
    logits_RC, gold_R = drawn(1)
    assert fit_temperature(softmax(logits_RC * factor, axis=1), gold_R) == pytest.approx(factor, rel=0.1)


def test_tempering_pooled_probabilities_is_dividing_logits():
    logits_RC, _ = drawn(2, records=50)
    np.testing.assert_allclose(temper(softmax(logits_RC, axis=1), 1.7), softmax(logits_RC / 1.7, axis=1), rtol=1e-9)


def test_a_fitted_temperature_makes_what_came_true_likelier():
    logits_RC, gold_R = drawn(3, sharpness=6.0)
    sure_RC = softmax(logits_RC * 2, axis=1)
    before, after = (
        -log_softmax(np.log(rows_RC), axis=1)[np.arange(len(gold_R)), gold_R].mean()
        for rows_RC in (sure_RC, temper(sure_RC, fit_temperature(sure_RC, gold_R)))
    )
    assert after < before


def test_choices_of_one_size_are_classes():
    logits_RC, gold_R = drawn(4, records=500)
    starts_R = np.arange(500) * 3
    assert fit_choice_temperature(2 * logits_RC.ravel(), starts_R, starts_R + gold_R) == fit_temperature(
        softmax(2 * logits_RC, axis=1), gold_R
    )


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_of_choices_among_different_numbers_undoes_what_made_the_model_too_sure(factor):
    random = np.random.default_rng(5)
    choices = [random.normal(size=random.integers(2, 9)) * 2 for _ in range(3000)]
    gold = [random.choice(len(row), p=softmax(row)) for row in choices]
    starts_R = np.cumsum([0, *map(len, choices[:-1])])
    assert fit_choice_temperature(factor * np.concatenate(choices), starts_R, starts_R + gold) == pytest.approx(factor, rel=0.1)


def test_labels_by_themselves_are_choices_of_two():
    random = np.random.default_rng(6)
    logits_RC = random.normal(size=(2000, 3)) * 2
    gold_RC = random.random((2000, 3)) < expit(logits_RC)
    assert fit_temperature(yes_or_no(expit(2 * logits_RC)), gold_RC.astype(int).ravel()) == pytest.approx(2, rel=0.1)


def test_a_handful_of_records_without_a_mistake_does_not_make_it_certain():
    right_RC = np.tile([0.9, 0.1], (5, 1))
    assert 0.4 < fit_temperature(right_RC, np.zeros(5, dtype=int)) < 1


def test_without_records_the_temperature_is_one():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


@promise
@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=9), st.floats(0.05, 20))
def test_tempering_keeps_the_order_of_the_classes_and_their_sum(logits, temperature):
    rows_RC = softmax(np.array(logits), axis=1)
    tempered_RC = temper(rows_RC, temperature)
    np.testing.assert_allclose(tempered_RC.sum(axis=1), 1.0)
    for row_C, tempered_C in zip(rows_RC, tempered_RC, strict=True):
        assert np.all(np.diff(tempered_C[np.argsort(row_C)]) >= 0)


# --- the threshold of a rare class


@promise
@given(answers)
def test_the_macro_threshold_is_the_best_of_all(scored):
    probabilities, gold = map(np.array, zip(*scored, strict=True))

    def macro(threshold):
        return f1_score(gold, probabilities >= threshold, average="macro", labels=[False, True], zero_division=0)

    reached = macro(best_macro_threshold(probabilities, gold))
    assert reached >= max(macro(threshold) for threshold in [*probabilities, 2.0]) - 1e-12


def test_a_rare_class_that_is_always_found_too_unlikely_gets_a_lower_threshold():
    probability = np.concatenate([np.linspace(0.0, 0.2, 200), np.linspace(0.3, 0.45, 30)])
    gold = np.arange(230) >= 200
    assert 0.2 < fit_rare_threshold(probability, gold) <= 0.3


@pytest.mark.parametrize(("common", "rare"), [(200, FEWEST - 1), (50, 40), (200, 0)], ids=["too few to tell", "not rare", "one class only"])
def test_the_likelier_class_is_said_where_none_is_rare_or_there_are_too_few(common, rare):
    probability = np.concatenate([np.linspace(0.0, 0.2, common), np.linspace(0.3, 0.45, rare)])
    assert fit_rare_threshold(probability, np.arange(common + rare) >= common) is None


def test_a_threshold_that_is_no_better_on_records_it_was_not_chosen_on_is_not_taken():
    probability = np.concatenate([np.linspace(0.0, 0.4, 200), np.linspace(0.6, 1.0, 30)])
    assert fit_rare_threshold(probability, np.arange(230) >= 200) is None


# --- abstaining


@promise
@given(answers, st.floats(0.05, 0.99))
def test_what_is_answered_is_right_as_often_as_wanted(scored, precision):
    confidences, right = zip(*scored, strict=True)
    least = fit_least_confidence(confidences, right, precision=precision)
    kept = [is_right for confidence, is_right in scored if confidence >= least]
    assert not kept or sum(kept) / len(kept) >= precision
    assert bool(kept) == (least != ALWAYS)


@promise
@given(answers, st.floats(0.05, 0.99))
def test_more_precision_is_never_wanted_of_more_answers(scored, precision):
    confidences, right = zip(*scored, strict=True)
    lower, higher = (fit_least_confidence(confidences, right, precision=wanted) for wanted in (precision / 2, precision))
    assert lower <= higher


def test_four_models_in_five_keep_what_they_promise():
    """Where an answer is right as often as it is confident, from .5 to 1."""
    kept = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        confidence = random.uniform(0.5, 1, 300)
        least = fit_least_confidence(confidence, random.uniform(size=300) < confidence, precision=0.9)
        kept.append((least + 1) / 2 >= 0.9)
    assert 0.75 < np.mean(kept) < 0.9


@pytest.mark.parametrize(("right", "least"), [(80, 0.9), (79, ALWAYS), (0, ALWAYS)])
def test_a_high_precision_takes_many_right_answers_to_be_believed(right, least):
    assert fit_least_confidence([0.9] * right + [0.1] * 200, [True] * right + [False] * 200, precision=0.98) == least


@promise
@given(answers)
def test_the_coverage_curve_ends_with_all_answered(scored):
    confidences, right = zip(*scored, strict=True)
    curve = coverage_curve(confidences, right)
    assert curve[-1] == (min(confidences), 1.0, pytest.approx(np.mean(right)))
    assert [point.coverage for point in curve] == sorted({point.coverage for point in curve})
    for point in curve:
        kept = [is_right for confidence, is_right in scored if confidence >= point.confidence]
        assert (point.coverage, point.precision) == (len(kept) / len(scored), sum(kept) / len(kept))


def test_a_curve_has_no_more_points_than_are_drawn():
    random = np.random.default_rng(1)
    assert len(coverage_curve(random.uniform(size=5000), random.uniform(size=5000) < 0.7)) == 100
