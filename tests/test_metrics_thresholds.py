import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.metrics import best_threshold

COARSE = st.integers(0, 5).map(lambda tenths: tenths / 5)
ROWS = st.lists(st.tuples(st.one_of(COARSE, st.floats(0, 1)), st.booleans()), min_size=1, max_size=25).filter(
    lambda rows: any(g for _, g in rows)
)
promise = settings(max_examples=60)


def f1_at(rows, threshold):
    right = sum(gold for probability, gold in rows if probability >= threshold)
    return 2 * right / (sum(probability >= threshold for probability, _ in rows) + sum(gold for _, gold in rows))


def tuned(rows):
    return best_threshold(*zip(*rows, strict=True), min_positives=1)


@promise
@given(ROWS)
def test_no_threshold_gives_a_higher_f1(rows):
    assert f1_at(rows, tuned(rows)) == pytest.approx(max(f1_at(rows, probability) for probability, _ in rows))


@promise
@given(ROWS)
def test_the_threshold_is_a_probability_and_does_not_depend_on_the_order_of_records(rows):
    assert 0 <= tuned(rows) <= 1
    assert tuned(rows) == tuned(random.Random(1).sample(rows, len(rows)))


def test_the_threshold_lies_half_way_between_its_neighbours():
    assert tuned([(0.9, True), (0.75, True), (0.25, False)]) == 0.5


def test_of_equally_good_thresholds_the_highest_is_taken():
    rows = [(0.75, True), (0.25, False), (0.25, False), (0.125, True)]
    assert f1_at(rows, 0.5) == f1_at(rows, 0.1) == 2 / 3
    assert tuned(rows) == 0.5


def test_a_label_that_every_record_has_is_always_set():
    assert tuned([(0.5, True), (0.25, True)]) == 0.125


def test_neighbouring_floats_are_told_apart():
    low = 0.3
    high = math.nextafter(low, 1)
    assert tuned([(high, True), (low, False)]) == high


@pytest.mark.parametrize("positives", [0, 9])
def test_a_rare_label_keeps_the_default(positives):
    gold = [True] * positives + [False] * 30
    assert best_threshold([0.9] * positives + [0.1] * 30, gold, default=0.3) == 0.3


def test_a_label_with_enough_records_is_tuned():
    assert best_threshold([0.25] * 10 + [0.125] * 30, [True] * 10 + [False] * 30) == 0.1875


def test_no_records_keep_the_default():
    assert best_threshold([], [], min_positives=0) == 0.5


def test_numpy_arrays_are_taken_as_they_are():
    assert best_threshold(np.array([0.75, 0.25], dtype=np.float32), np.array([1, 0]), min_positives=1) == 0.5
