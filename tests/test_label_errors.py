"""What tells a word to the model that looks for wrong labels, and what is done of many words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import label_errors
from headway.label_errors import Units, _mean_of_tokens, _predicted, _told
from headway.records import Span, Window

WORDS = st.lists(st.integers(1, 4), min_size=1, max_size=8)  # tokens in each


@given(WORDS, st.booleans())
def test_a_word_is_the_mean_over_its_own_tokens(lengths, special):
    """Tokens of two characters, words parted by a space; special tokens around them have no place in the text."""
    offsets, units, at, start = [], [], int(special), 0
    for count in lengths:
        units.append((at, start, start + 2 * count))
        offsets += [(start + 2 * n, start + 2 * n + 2) for n in range(count)]
        at, start = at + count, start + 2 * count + 1
    around = [(0, 0)] * special
    offsets_N2 = np.array(around + offsets + around)
    rows_ND = np.random.default_rng(1).normal(size=(len(offsets_N2), 3))
    zeros = np.zeros(len(offsets_N2), dtype=np.int32)
    window = Window(0, zeros, zeros, offsets_N2, zeros, np.array(units))
    expected = [rows_ND[first : first + count].mean(axis=0) for (first, _, _), count in zip(units, lengths, strict=True)]
    assert _mean_of_tokens(rows_ND, window) == pytest.approx(np.array(expected), abs=1e-6)


def words(record_U) -> Units:
    count = len(record_U)
    generator = np.random.default_rng(2)
    features_UD = (generator.normal(size=(count, 4)) * [9, 1, 1, 1]).astype(np.float16)
    return Units(np.array(record_U), features_UD, (features_UD[:, 0] > 0).astype(int), ("O", "PER"), [Span(0, 1)] * count)


def test_words_of_other_texts_tell_nothing():
    units = words([0, 0, 0, 1, 2, 2])
    told_UD = _told(units, np.arange(6)).reshape(6, 3, 4)
    own, before, behind = (told_UD[:, part] for part in range(3))
    assert np.array_equal(own, units.features_UD)
    assert [bool(row.any()) for row in before] == [False, True, True, False, False, True]
    assert [bool(row.any()) for row in behind] == [True, True, False, False, True, False]
    assert np.array_equal(before[1], own[0])
    assert np.array_equal(behind[4], own[5])


def test_many_words_are_predicted_in_parts_and_as_well(monkeypatch):
    units = words(np.repeat(np.arange(200), 3))
    held = np.arange(600) % 5 == 0
    whole = _predicted(units, held, seed=1)
    monkeypatch.setattr(label_errors, "UNITS_AT_ONCE", 7)
    assert _predicted(units, held, seed=1) == pytest.approx(whole)
    monkeypatch.setattr(label_errors, "MOST_UNITS", 100)
    assert (_predicted(units, held, seed=1).argmax(axis=1) == units.classes_U[held]).mean() > 0.9
