import random
import time
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import DataError
from headway.records import Record, Span
from headway.splits import hold_out

LABELS = st.sampled_from("abcde")
RECORDS = st.lists(
    st.builds(Record, text=st.sampled_from(["x", "X ", " x", *"pqrstuvw"]), label=LABELS, group=st.sampled_from(["", "", "g", "h", "i"])),
    min_size=2,
    max_size=30,
)
promise = settings(deadline=None, max_examples=60)


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
        assert sorted(cut.train + cut.held) == list(range(len(records)))


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
    assert hold_out(labelled("a", 10) + labelled("b", 10), fraction=0.3, seed=1).held == [4, 7, 8, 15, 18, 19]


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


def test_sets_of_labels_are_stratified_by_their_rarest():
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


def test_entities_are_stratified_by_their_rarest_type():
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


def test_a_chain_of_texts_and_groups_holds_together():
    chain = [Record("one", group="g"), Record("ONE", group="h"), Record("two", group="h"), Record(" two\n"), Record("three", group="g")]
    records = chain + [Record(str(n)) for n in range(45)]
    for seed in range(20):
        held = set(hold_out(records, fraction=0.3, seed=seed).held)
        assert held.isdisjoint(range(5)) or held >= set(range(5))


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
