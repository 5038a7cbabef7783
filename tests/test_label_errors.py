"""What tells a word to the model that looks for wrong labels, and what is done of many words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import label_errors
from headway.label_errors import EMPTY, FOLDS, Suspect, Units, _folds, _mean_of_tokens, _predicted, _ranked_sets, _rarest, _told
from headway.records import Record, Span, Window

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


# --- sets of labels

NAMES = ("calm", "glad", "loud", "rare")


def sets(count: int, wrong: dict[int, tuple[str, ...]]) -> Units:
    """Every label is a direction of the features, with a gap between yes and no; those in `wrong` are given instead of what these say."""
    features_UD = np.random.default_rng(3).normal(size=(count, 6)).astype(np.float32)
    sets_UC = features_UD[:, :4] > [0.0, 0.2, 0.4, 1.5]
    features_UD[:, :4] += np.where(sets_UC, 1, -1)
    for unit, names in wrong.items():
        sets_UC[unit] = [name in names for name in NAMES]
    return Units(np.arange(count), features_UD, _rarest(sets_UC), NAMES, sets_UC=sets_UC)


def suspects(units: Units) -> list[Suspect]:
    fold_U = _folds([Record(f"text {n}") for n in units.record_U], units, seed=1)
    probabilities_UC = np.zeros(units.sets_UC.shape)
    for fold in range(FOLDS):
        probabilities_UC[fold_U == fold] = _predicted(units, fold_U == fold, seed=1)
    return list(_ranked_sets(units, probabilities_UC))


def test_planted_errors_in_sets_of_labels_are_told_with_the_set_that_is_meant():
    pytest.importorskip("cleanlab", reason="label errors need headway[cleanlab]")
    true_UC = sets(600, {}).sets_UC
    wrong = {}
    for unit in range(0, 600, 20):  # one label of each is taken away or put to the others
        said_C = true_UC[unit].copy()
        said_C[unit // 20 % 3] ^= True
        wrong[unit] = tuple(name for name, has in zip(NAMES, said_C, strict=True) if has)
    found = suspects(sets(600, wrong))
    assert [one.surely for one in found] == sorted((one.surely for one in found), reverse=True)
    assert {one.record for one in found} <= wrong.keys()
    assert len(found) > len(wrong) / 2  # how many there are is estimated, and carefully
    for one in found:
        assert one.given == (", ".join(wrong[one.record]) or EMPTY)
        assert one.suggested == (", ".join(name for name, has in zip(NAMES, true_UC[one.record], strict=True) if has) or EMPTY)


def test_a_label_that_all_or_hardly_any_sets_have_is_no_trouble():
    pytest.importorskip("cleanlab", reason="label errors need headway[cleanlab]")
    units = sets(200, {})
    units.sets_UC[:, 0], units.sets_UC[:, 3] = True, np.arange(200) == 7
    assert all("calm" in one.given and "calm" in one.suggested for one in suspects(units))


def test_folds_deal_the_rarest_label_of_each_set_evenly():
    units = sets(600, {})
    fold_U = _folds([Record(f"text {n}") for n in units.record_U], units, seed=1)
    rare = np.bincount(fold_U[units.sets_UC[:, 3]], minlength=FOLDS)
    assert rare.max() - rare.min() <= 1
