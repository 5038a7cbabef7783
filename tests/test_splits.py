import random
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headway.audit.minhash import clusters as near_clusters
from headway.errors import DataError
from headway.records import Record, Span
from headway.splits import folds, hold_out, hold_out_latest, nested

LABELS = st.sampled_from("abcde")
RECORDS = st.lists(
    st.builds(Record, text=st.sampled_from(["x", "X ", " x", *"pqrstuvw"]), label=LABELS, group=st.sampled_from(["", "", "g", "h", "i"])),
    min_size=2,
    max_size=30,
)
promise = settings(max_examples=60)


def labelled(label, count, start=0):
    return [Record(f"{label} {position}", label=label) for position in range(start, start + count)]


def held_labels(records, fraction=0.2, seed=1):
    return Counter(records[position].label for position in hold_out(records, fraction=fraction, seed=seed).held)


def attempt(records, **how):
    try:
        return hold_out(records, **how)
    except DataError:
        return None


@promise
@given(RECORDS, st.sampled_from([0.001, 0.1, 0.3, 0.5, 0.9, 0.999]), st.integers(0, 5))
def test_every_record_is_on_one_side_and_neither_side_is_empty(records, fraction, seed):
    cut = attempt(records, fraction=fraction, seed=seed)
    if cut is None:
        assert len({record.text.casefold().strip() for record in records}) == 1
    else:
        assert cut.train
        assert cut.held
        assert cut.train == sorted(cut.train)
        assert cut.held == sorted(cut.held)
        assert sorted(cut.train + cut.held + cut.left_out) == list(range(len(records)))
        assert not cut.left_out or any(record.group for record in records)


@promise
@given(RECORDS, st.sampled_from([0.1, 0.3, 0.5]))
def test_equal_texts_are_never_split_apart(records, fraction):
    cut = attempt(records, fraction=fraction, seed=1)
    if cut is not None:
        train, held = ({records[position].text.casefold().strip() for position in side} for side in (cut.train, cut.held))
        assert train.isdisjoint(held)


@promise
@given(RECORDS, st.sampled_from([0.1, 0.3, 0.5]))
def test_groups_are_never_split_apart_unless_said(records, fraction):
    cut = attempt(records, fraction=fraction, seed=1)
    if cut is not None and "groups split" not in cut.how:
        train, held = ({records[position].group for position in side} - {""} for side in (cut.train, cut.held))
        assert train.isdisjoint(held)


@promise
@given(st.lists(LABELS, min_size=2, max_size=40), st.sampled_from([0.1, 0.5, 0.9]))
def test_every_class_with_two_texts_keeps_one_in_train(labels, fraction):
    records = [Record(str(position), label=label) for position, label in enumerate(labels)]
    train = {records[position].label for position in hold_out(records, fraction=fraction, seed=1).train}
    assert {label for label, count in Counter(labels).items() if count >= 2} <= train


def test_the_same_records_and_seed_give_the_same_cut():
    records = labelled("a", 50) + labelled("b", 50)
    assert hold_out(records, fraction=0.2, seed=1) == hold_out(records, fraction=0.2, seed=1)


def test_another_seed_gives_another_cut():
    records = labelled("a", 50) + labelled("b", 50)
    assert hold_out(records, fraction=0.2, seed=1).held != hold_out(records, fraction=0.2, seed=2).held


def test_a_cut_stays_the_same_over_versions():
    assert hold_out(labelled("a", 10) + labelled("b", 10), fraction=0.3, seed=1).held == [5, 7, 8, 14, 18, 19]


def test_labels_keep_their_shares():
    records = labelled("a", 700) + labelled("b", 200) + labelled("c", 100)
    assert held_labels(records) == {"a": 140, "b": 40, "c": 20}


def test_many_small_classes_are_held_out_in_the_share_asked_for():
    records = [record for name in range(77) for record in labelled(f"{name:02}", 4)]
    held = held_labels(records, fraction=0.1)
    assert held.total() == 31
    assert set(held.values()) == {1}


def test_a_class_of_one_text_stays_in_train_and_costs_no_held_share():
    records = labelled("a", 50) + [Record("only", label="b")] + [Record(f"lone {n}", label=f"lone {n}") for n in range(29)]
    assert held_labels(records, fraction=0.25) == {"a": 20}


def test_two_records_of_two_classes_are_cut_all_the_same():
    cut = hold_out(labelled("a", 1) + labelled("b", 1), fraction=0.15, seed=1)
    assert (len(cut.train), len(cut.held)) == (1, 1)


def test_sets_of_labels_keep_their_shares():
    records = [Record(f"r{n}", label=("common", "rare") if n % 10 == 0 else ("common",)) for n in range(200)]
    records += [Record(f"n{n}", label=()) for n in range(50)]
    assert held_labels(records) == {("common", "rare"): 4, ("common",): 36, (): 10}


def test_numbers_are_stratified_by_quantile():
    records = [Record(str(n), label=n / 10) for n in range(1000)]
    held = Counter(records[position].label // 10 for position in hold_out(records, fraction=0.2, seed=1).held)
    assert set(held.values()) == {20}


def test_few_numbers_are_held_out_in_the_share_asked_for():
    cut = hold_out([Record(str(n), label=float(n)) for n in range(10)], fraction=0.3, seed=1)
    assert len(cut.held) == 3


def test_entity_types_keep_their_shares():
    kinds = [("PER", "MISC"), ("PER",), ("PER",), (), ()]
    records = [Record(str(n), entities=tuple(Span(0, 1, kind) for kind in kinds[n % 5])) for n in range(500)]
    held = Counter(tuple(span.label for span in records[position].entities) for position in hold_out(records, fraction=0.2, seed=1).held)
    assert held == {("PER", "MISC"): 20, ("PER",): 40, (): 40}


def test_questions_are_stratified_by_whether_they_can_be_answered():
    records = [Record(f"c{n}", question="?", answers=() if n % 3 == 0 else (Span(0, 1),)) for n in range(300)]
    held = Counter(bool(records[position].answers) for position in hold_out(records, fraction=0.1, seed=1).held)
    assert held == {True: 20, False: 10}


def test_questions_about_one_context_are_never_split_apart():
    records = [Record(f"Context {n % 40}", question=f"question {n}", answers=(Span(0, 1),)) for n in range(200)]
    cut = hold_out(records, fraction=0.2, seed=1)
    assert {records[p].text for p in cut.train}.isdisjoint(records[p].text for p in cut.held)
    assert len(cut.held) == 40


def test_pairs_are_equal_only_if_both_texts_are():
    records = [Record("same", text_pair=f"other {n}", label="a") for n in range(10)]
    assert len(hold_out(records, fraction=0.3, seed=1).held) == 3


def test_groups_of_the_very_same_texts_hold_together():
    copies = [Record(text, group=group) for group in "gh" for text in ("one", "two")] + [Record("three", group="i"), Record(" THREE\n")]
    records = copies + [Record(str(n)) for n in range(45)]
    for seed in range(20):
        cut = hold_out(records, fraction=0.3, seed=seed)
        assert cut.left_out == []
        assert len({position in cut.held for position in range(4)}) == len({position in cut.held for position in (4, 5)}) == 1


def test_a_text_that_many_groups_share_does_not_chain_them():
    records = [Record("Best wishes" if n == 9 else f"{group} {n}", group=f"g{group}") for group in range(40) for n in range(10)]
    cut = hold_out(records, fraction=0.25, seed=1)
    assert len(cut.held) == 90
    assert {records[position].group for position in cut.left_out} == {records[position].group for position in cut.held}
    assert {records[position].text for position in cut.left_out} == {"Best wishes"}
    assert cut.how == "at random, equal texts kept together, groups kept whole, without 10 whose text others have"


def test_whole_groups_that_share_all_texts_with_others_cannot_be_cut():
    records = [Record(text, group=group) for group, texts in {"g": "ab", "h": "bc", "i": "ca"}.items() for text in texts]
    with pytest.raises(DataError, match="groups without texts of their own"):
        hold_out(records, fraction=0.3, seed=1, groups="whole")
    cut = hold_out(records, fraction=0.3, seed=1)
    assert cut.how == "at random, equal texts kept together, groups split as they are too few (3)"


def test_many_groups_that_share_all_texts_are_split_unless_they_are_to_be_whole():
    records = [Record(f"text {n % 20}", group=f"g{group}") for group in range(20) for n in (group, group + 1)]
    cut = hold_out(records, fraction=0.1, seed=1)
    assert (len(cut.held), cut.left_out) == (4, [])
    assert cut.how == "at random, equal texts kept together, groups split as they share their texts"


def test_large_and_small_groups_are_held_out_alike():
    sizes = range(1, 41)
    records = [Record(f"{size} {n}", group=f"g{size}") for size in sizes for n in range(size)]
    cuts = [hold_out(records, fraction=0.5, seed=seed) for seed in range(40)]
    times_held = Counter(size for cut in cuts for size in {int(records[position].group[1:]) for position in cut.held})
    assert len({tuple(cut.held) for cut in cuts}) == 40
    assert min(times_held[size] for size in sizes) > 5
    assert max(times_held[size] for size in sizes) < 35


def test_duplicates_are_as_likely_to_be_held_out_as_other_records():
    records = [Record(f"twice {n // 2}", label="a") for n in range(200)] + [Record(f"once {n}", label="a") for n in range(800)]
    held = hold_out(records, fraction=0.2, seed=1).held
    assert sum(position < 200 for position in held) == 40
    assert len(held) == 200


def test_large_groups_meet_the_fraction_within_reason():
    generator = random.Random(1)
    sizes = [generator.randint(1, 60) for _ in range(40)]
    records = [Record(f"{g} {n}", label=generator.choice("ab"), group=f"g{g}") for g, size in enumerate(sizes) for n in range(size)]
    cut = hold_out(records, fraction=0.15, seed=1)
    assert abs(len(cut.held) / len(records) - 0.15) < 0.03
    assert cut.how == "stratified by label, equal texts kept together, groups kept whole"


def test_too_few_groups_are_split_and_it_is_said():
    records = [Record(str(n), label="a", group=f"g{n % 3}") for n in range(90)]
    cut = hold_out(records, fraction=0.1, seed=1)
    assert len(cut.held) == 9
    assert cut.how == "stratified by label, equal texts kept together, groups split as they are too few (3)"


@pytest.mark.parametrize("count", [2, 3, 4, 9, 20])
def test_groups_that_are_to_be_whole_are_so_however_few(count):
    records = [Record(str(n), label="ab"[n % 7 > 3], group=f"patient {n % count}") for n in range(180)]
    cut = hold_out(records, fraction=0.1, seed=1, groups="whole")
    train, held = ({records[position].group for position in side} for side in (cut.train, cut.held))
    assert train
    assert held
    assert train.isdisjoint(held)


def test_a_fraction_that_gives_way_to_whole_groups_is_said():
    records = [Record(str(n), label="ab"[n % 2], group=f"patient {n % 4}") for n in range(200)]
    cut = hold_out(records, fraction=0.1, seed=1, groups="whole")
    assert cut.how == "stratified by label, equal texts kept together, groups kept whole: 25%, as they are few (4)"


def test_one_group_that_is_to_be_whole_cannot_be_cut():
    with pytest.raises(DataError) as error:
        hold_out([Record(str(n), label="a", group="only") for n in range(9)], fraction=0.1, seed=1, groups="whole")
    assert str(error.value) == (
        "nothing can be held out: data.group names one group, or groups without texts of their own; give a dev file, or no data.group"
    )


def test_few_groups_that_fit_the_fraction_stay_whole():
    records = [Record(str(n), label="a", group=f"g{n % 5}") for n in range(100)]
    cut = hold_out(records, fraction=0.2, seed=1)
    by_group = defaultdict(set)
    for side in (cut.train, cut.held):
        for position in side:
            by_group[records[position].group].add(side is cut.held)
    assert sorted(len(sides) for sides in by_group.values()) == [1] * 5
    assert len(cut.held) == 20


def test_unlabelled_records_are_cut_at_random():
    cut = hold_out([Record(str(n)) for n in range(20)], fraction=0.25, seed=1)
    assert (len(cut.held), cut.how) == (5, "at random, equal texts kept together")


@pytest.mark.parametrize(("texts", "found"), [([], 0), (["one"], 1), (["one", " ONE"], 1)])
def test_fewer_than_two_different_texts_cannot_be_cut(texts, found):
    with pytest.raises(DataError) as error:
        hold_out([Record(text, label="a") for text in texts], fraction=0.2, seed=1)
    assert str(error.value) == (
        f"nothing can be held out: at least 2 different texts are needed, found {found}; add records or give a dev file"
    )


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_that_leaves_a_side_empty_is_refused(fraction):
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        hold_out(labelled("a", 5), fraction=fraction, seed=1)


def test_thirty_thousand_records_take_about_a_second():
    records = [Record(f"{n} " + "a text of some words " * 10, label=f"class {n % 20}", group=f"{n // 3}") for n in range(30_000)]
    start = time.process_time()
    hold_out(records, fraction=0.15, seed=1)
    assert time.process_time() - start < 2  # twice what is promised, for slow machines


# --- sets of labels


SETS = st.lists(st.sets(LABELS, max_size=4).map(tuple), min_size=20, max_size=200)


@promise
@given(SETS, st.sampled_from([0.1, 0.2, 0.5]))
def test_every_label_of_a_set_gets_its_share_within_a_few_records(labels, fraction):
    records = [Record(str(position), label=label) for position, label in enumerate(labels)]
    cut = hold_out(records, fraction=fraction, seed=1)
    everywhere = Counter(name for label in labels for name in label)
    held = Counter(name for position in cut.held for name in records[position].label)
    assert all(abs(held[name] - fraction * count) <= 3 for name, count in everywhere.items())
    assert abs(len(cut.held) - fraction * len(records)) <= 3


def test_no_emotion_is_off_its_share_by_more_than_two_records(data_root):
    rows = [line.split("\t") for line in (data_root / "go_emotions/train.tsv").read_text(encoding="utf-8").splitlines()[:5000]]
    records = [Record(text, label=tuple(numbers.split(","))) for text, numbers, _ in rows]
    held = Counter(name for position in hold_out(records, fraction=0.1, seed=1).held for name in records[position].label)
    everywhere = Counter(name for record in records for name in record.label)
    assert max(abs(held[name] - count / 10) for name, count in everywhere.items()) <= 2


# --- near duplicates


@promise
@given(RECORDS, st.lists(st.sampled_from([None, None, 1, 2, "three"]), min_size=30, max_size=30), st.sampled_from([0.1, 0.5]))
def test_clusters_are_never_split_apart(records, clusters, fraction):
    clusters = clusters[: len(records)]
    for cut in filter(None, [attempt(records, fraction=fraction, seed=1, clusters=clusters), *attempt_folds(records, clusters=clusters)]):
        train, held = ({clusters[position] for position in side} - {None} for side in (cut.train, cut.held))
        assert train.isdisjoint(held)


def test_texts_that_are_equal_but_for_punctuation_are_one_near_duplicate_kept_together():
    records = [Record(f"{text}{sign}", label="a") for n in range(30) for text in [f"text of number {n}"] for sign in ("", "!", " ...")]
    for cut in folds(records, count=5, seed=1, clusters=near_clusters(record.text for record in records)):
        train, held = ({position // 3 for position in side} for side in (cut.train, cut.held))
        assert train.isdisjoint(held)


def test_clusters_are_said():
    assert hold_out(labelled("a", 9), fraction=0.3, seed=1, clusters=[None] * 9).how == "stratified by label, near duplicates kept together"


# --- folds


def attempt_folds(records, *, count=3, clusters=None):
    try:
        return folds(records, count=count, seed=1, clusters=clusters)
    except DataError:
        return []


@promise
@given(RECORDS, st.integers(2, 6))
def test_folds_hold_every_record_out_once_and_none_is_empty(records, count):
    cuts = attempt_folds(records, count=count)
    assert sorted(position for cut in cuts for position in cut.held + cut.left_out) == (list(range(len(records))) if cuts else [])
    for cut in cuts:
        assert cut.held
        assert sorted(cut.train + cut.held + cut.left_out) == list(range(len(records)))


@promise
@given(RECORDS, st.integers(2, 6))
def test_folds_never_split_texts_or_groups_apart(records, count):
    for cut in attempt_folds(records, count=count):
        for name in (lambda record: record.text.casefold().strip(), lambda record: record.group or id(record)):
            train, held = ({name(records[position]) for position in side} for side in (cut.train, cut.held))
            assert train.isdisjoint(held)


@promise
@given(st.lists(LABELS, min_size=6, max_size=40), st.integers(2, 6))
def test_no_fold_holds_out_all_of_a_class(labels, count):
    records = [Record(str(position), label=label) for position, label in enumerate(labels)]
    for cut in folds(records, count=count, seed=1):
        train = {records[position].label for position in cut.train}
        assert {label for label, found in Counter(labels).items() if found >= 2} <= train


def test_folds_have_their_share_of_every_class():
    records = labelled("a", 70) + labelled("b", 20) + labelled("c", 10)
    for cut in folds(records, count=5, seed=1):
        assert Counter(records[position].label for position in cut.held) == {"a": 14, "b": 4, "c": 2}


def test_folds_are_the_same_for_the_same_seed_and_others_for_another():
    first, again, other = (folds(labelled("a", 50), count=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0].held != other[0].held
    assert first[1].how == "fold 2 of 5, stratified by label, equal texts kept together"


def test_more_folds_than_texts_are_refused():
    with pytest.raises(DataError) as error:
        folds(labelled("a", 3), count=5, seed=1)
    assert str(error.value) == "5 folds need at least 5 different texts, found 3; lower split.folds"


# --- in time


TIMES = st.lists(st.integers(0, 9).map(float), min_size=30, max_size=30)


@promise
@given(RECORDS, TIMES, st.sampled_from([0.1, 0.3, 0.5]))
def test_all_that_is_learned_from_is_older_than_all_that_is_held_out(records, times, fraction):
    try:
        cut = hold_out_latest(records, times[: len(records)], fraction=fraction)
    except DataError:
        assume(False)
    assert max(times[position] for position in cut.train) < min(times[position] for position in cut.held)
    assert sorted(cut.train + cut.held + cut.left_out) == list(range(len(records)))
    for name in (lambda record: record.text.casefold().strip(), lambda record: record.group or id(record)):
        assert {name(records[position]) for position in cut.train}.isdisjoint(name(records[position]) for position in cut.held)


@promise
@given(st.lists(st.integers(0, 99).map(float), min_size=2, max_size=60), st.sampled_from([0.1, 0.3, 0.5]))
def test_the_latest_are_as_near_to_the_fraction_as_moments_allow(times, fraction):
    assume(len(set(times)) > 1)
    cut = hold_out_latest([Record(str(position)) for position in range(len(times))], times, fraction=fraction)
    possible = {sum(time >= border for time in times) for border in times} - {len(times)}
    wanted = fraction * len(times)
    assert abs(len(cut.held) - wanted) == min(abs(size - wanted) for size in possible)


def test_a_late_record_that_came_before_is_left_out():
    records = [Record(text) for text in ("a", "b", "c", "A ", "d")]
    cut = hold_out_latest(records, [1, 2, 3, 4, 5], fraction=0.4)
    assert (cut.train, cut.held, cut.left_out) == ([0, 1, 2], [4], [3])


@pytest.mark.parametrize(
    ("texts", "times", "fault"),
    [
        ("abc", [5, 5, 5], "nothing can be held out by time: all records are of the same moment"),
        ("aba", [1, 2, 3], "nothing can be held out by time: every late record has the text or the group of an older one"),
    ],
)
def test_what_cannot_be_cut_in_time_is_said(texts, times, fault):
    with pytest.raises(DataError) as error:
        hold_out_latest([Record(text) for text in texts], times, fraction=0.3)
    assert str(error.value) == fault


# --- nested subsets


@promise
@given(st.lists(LABELS, min_size=48, max_size=99), st.integers(0, 5))
def test_subsets_lie_within_each_other_and_keep_every_class(labels, seed):
    records = [Record(str(position), label=label) for position, label in enumerate(labels)]
    subsets = nested(records, shares=(0.125, 0.25, 0.5, 1), seed=seed)
    assert subsets[-1] == list(range(len(records)))
    for smaller, larger in pairwise(subsets):
        assert set(smaller) < set(larger)
    assert all({records[position].label for position in subset} == set(labels) for subset in subsets)


def test_subsets_have_their_share_of_every_class_and_other_seeds_other_records():
    records = labelled("a", 700) + labelled("b", 200) + labelled("c", 100)
    first, again, other = (nested(records, shares=(0.1, 0.5, 1), seed=seed) for seed in (1, 1, 2))
    assert [Counter(records[position].label for position in subset) for subset in first[:2]] == [
        {"a": 70, "b": 20, "c": 10},
        {"a": 350, "b": 100, "c": 50},
    ]
    assert first == again != other
