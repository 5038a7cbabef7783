"""Entity scores, strict and lenient: nervaluate and conlleval are the references."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator

from headway.metrics import score_spans
from headway.records import Span

TYPES = ("PER", "LOC", "ORG")
SCHEMES = {"IOB": "BI", "BILOU": "BILU"}
promise = settings(max_examples=60)


@st.composite
def disjoint_spans(draw):
    """Entities that do not overlap, as a tagger gives them."""
    bounds = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    return tuple(Span(a, b, draw(st.sampled_from(TYPES))) for a, b in zip(bounds[::2], bounds[1::2], strict=False))


@st.composite
def tagged_texts(draw):
    """Sentences with two tag sequences each; most of them break every rule of their scheme."""
    prefixes = SCHEMES[draw(st.sampled_from(sorted(SCHEMES)))]
    tags = st.sampled_from(["O"] + [f"{prefix}-{kind}" for prefix in prefixes for kind in TYPES[:2]])
    return draw(st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=12), min_size=1, max_size=4))


def spans_of(tags):
    """Entities of a tag sequence, every word three characters and a space, in any scheme, legal or not."""
    spans, start, last = [], None, ("O", "")
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        goes_on = start is not None and prefix in ("I", "L") and kind == last[1] and last[0] not in ("L", "U")
        if start is not None and not goes_on:
            spans.append(Span(start * 4, position * 4 - 1, last[1]))
            start = None
        if prefix != "O" and not goes_on:
            start = position
        last = prefix, kind
    return spans


def ends(before, now):
    """conlleval: whether an entity ends between two words."""
    if before[0] in ("L", "U"):
        return True
    return before[0] != "O" and (now[0] in ("B", "U", "O") or before[1] != now[1])


def starts(before, now):
    """conlleval: whether an entity starts between two words."""
    if now[0] in ("B", "U"):
        return True
    return now[0] != "O" and (before[0] in ("L", "U", "O") or before[1] != now[1])


def conlleval(sentences):
    """Right, predicted and gold entities by type, counted in one walk along both tag sequences at once, as conlleval counts them."""
    right, predicted, gold = Counter(), Counter(), Counter()
    outside = ("O", "")
    truth_before = guess_before = outside
    right_so_far = False
    words = [pair for sentence in sentences for pair in [*sentence, ("O", "O")]]
    for truth_tag, guess_tag in words:
        truth, guess = (tuple(tag.partition("-")[::2]) for tag in (truth_tag, guess_tag))
        truth_ends, guess_ends = ends(truth_before, truth), ends(guess_before, guess)
        if right_so_far:
            if truth_ends and guess_ends and truth_before[1] == guess_before[1]:
                right_so_far = False
                right[truth_before[1]] += 1
            elif truth_ends != guess_ends or truth[1] != guess[1]:
                right_so_far = False
        truth_starts, guess_starts = starts(truth_before, truth), starts(guess_before, guess)
        right_so_far |= truth_starts and guess_starts and truth[1] == guess[1]
        gold[truth[1]] += truth_starts
        predicted[guess[1]] += guess_starts
        truth_before, guess_before = truth, guess
    return right, predicted, gold


def random_tags(scheme: str, *, sentences: int, seed: int) -> list[list[tuple[str, str]]]:
    """Sentences of gold and predicted tags that know nothing of the rules of their scheme; half of the predictions copy the gold."""
    generator = random.Random(seed)
    tags = ["O", "O", *(f"{prefix}-{kind}" for prefix in SCHEMES[scheme] for kind in TYPES)]
    made = []
    for _ in range(sentences):
        truth = generator.choices(tags, k=generator.randint(1, 9))
        made.append([(tag, tag if generator.random() < 0.5 else generator.choice(tags)) for tag in truth])
    return made


def two_sides(sentences):
    return ([spans_of(tags) for tags in side] for side in zip(*(zip(*s, strict=True) for s in sentences), strict=True))


def check_conlleval(sentences):
    right, predicted, gold = conlleval(sentences)
    scores = score_spans(*two_sides(sentences))
    precision = right.total() / predicted.total() if predicted.total() else 0
    recall = right.total() / gold.total() if gold.total() else 0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert [scores.values[name] for name in ("precision", "recall", "f1")] == pytest.approx([precision, recall, f1])
    for kind, row in scores.by_label.items():
        assert row["support"] == gold[kind]
        assert row["recall"] == pytest.approx(right[kind] / gold[kind] if gold[kind] else 0)
        assert row["precision"] == pytest.approx(right[kind] / predicted[kind] if predicted[kind] else 0)


@promise
@given(tagged_texts())
def test_span_scores_equal_those_of_conlleval_for_legal_and_illegal_tags(sentences):
    check_conlleval(sentences)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_span_scores_equal_those_of_conlleval_on_ten_thousand_sequences_of_tags(scheme):
    check_conlleval(random_tags(scheme, sentences=5_000, seed=1))


NERVALUATE = {"strict": "", "exact": "exact_", "partial": "partial_", "ent_type": "type_"}  # its schemes, and ours


def check_nervaluate(gold, predicted):
    scores = score_spans(gold, predicted)
    as_dicts = ([[{"label": s.label, "start": s.start, "end": s.end - 1} for s in spans] for spans in side] for side in (gold, predicted))
    result = Evaluator(*as_dicts, tags=list(TYPES), loader="dict").evaluate()
    assert scores.by_label.keys() == result["entities"].keys()
    for scheme, name in NERVALUATE.items():
        theirs = result["overall"][scheme]
        found = [scores.values[f"{name}{metric}"] for metric in ("precision", "recall", "f1")]
        assert found == pytest.approx([theirs.precision, theirs.recall, theirs.f1]), scheme
        for kind, of_type in result["entities"].items() if name != "exact_" else ():
            found = [scores.by_label[kind][f"{name}{metric}"] for metric in ("precision", "recall", "f1")]
            assert found == pytest.approx([of_type[scheme].precision, of_type[scheme].recall, of_type[scheme].f1]), (kind, scheme)


@promise
@given(st.lists(st.tuples(disjoint_spans(), disjoint_spans()), min_size=1, max_size=6))
def test_span_scores_equal_those_of_nervaluate_in_every_scheme(pairs):
    check_nervaluate(*([list(spans) for spans in side] for side in zip(*pairs, strict=True)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_span_scores_equal_those_of_nervaluate_on_ten_thousand_sequences_of_tags(scheme):
    check_nervaluate(*two_sides(random_tags(scheme, sentences=5_000, seed=2)))


PARIS = [Span(0, 12, "LOC")]


@pytest.mark.parametrize(
    ("guess", "credits"),
    [
        ((0, 12, "LOC"), {"f1": 1, "exact_f1": 1, "partial_f1": 1, "type_f1": 1}),
        ((0, 12, "ORG"), {"f1": 0, "exact_f1": 1, "partial_f1": 1, "type_f1": 0}),
        ((0, 5, "LOC"), {"f1": 0, "exact_f1": 0, "partial_f1": 0.5, "type_f1": 1}),
        ((11, 20, "ORG"), {"f1": 0, "exact_f1": 0, "partial_f1": 0.5, "type_f1": 0}),
        ((12, 20, "LOC"), {"f1": 0, "exact_f1": 0, "partial_f1": 0, "type_f1": 0}),
    ],
)
def test_what_each_scheme_gives_credit_for(guess, credits):
    values = score_spans([PARIS], [[Span(*guess)]]).values
    assert {scheme: values[scheme] for scheme in credits} == credits


@promise
@given(st.lists(st.tuples(disjoint_spans(), disjoint_spans()), min_size=1, max_size=6))
def test_lenient_schemes_are_never_stricter(pairs):
    values = score_spans(*zip(*pairs, strict=True)).values
    assert values["f1"] <= values["exact_f1"] + 1e-9
    assert values["exact_f1"] <= values["partial_f1"] + 1e-9
    assert values["f1"] <= values["type_f1"] + 1e-9


@promise
@given(st.lists(st.tuples(disjoint_spans(), disjoint_spans()), min_size=1, max_size=6))
def test_span_scores_stay_in_bounds_and_do_not_depend_on_any_order(pairs):
    gold, predicted = zip(*pairs, strict=True)
    scores = score_spans(gold, predicted)
    assert all(0 <= value <= 1 for value in scores.values.values())
    mixed = random.Random(1).sample(pairs, len(pairs))
    assert scores == score_spans([g[::-1] for g, _ in mixed], [p[::-1] for _, p in mixed])


def test_perfect_spans_score_one():
    gold = [(Span(0, 3, "PER"), Span(4, 8, "LOC")), ()]
    assert set(score_spans(gold, gold).values.values()) == {1.0}


@pytest.mark.parametrize("guess", [Span(0, 3, "LOC"), Span(0, 4, "PER"), Span(1, 3, "PER")])
def test_a_span_is_right_only_with_both_borders_and_the_type(guess):
    assert score_spans([[Span(0, 3, "PER")]], [[guess]]).values["f1"] == 0.0


def test_confidence_is_no_part_of_being_right():
    assert score_spans([[Span(0, 3, "PER")]], [[Span(0, 3, "PER", 0.4)]]).values["f1"] == 1.0


def test_the_same_span_of_another_record_is_not_right():
    assert score_spans([[Span(0, 3, "PER")], []], [[], [Span(0, 3, "PER")]]).values["f1"] == 0.0


def test_an_entity_predicted_twice_is_right_once():
    values = score_spans([[Span(0, 3, "PER")]], [[Span(0, 3, "PER")] * 2]).values
    assert (values["precision"], values["recall"]) == (0.5, 1.0)


def test_nothing_found_where_nothing_is_scores_zero_as_in_conlleval():
    assert set(score_spans([[]], [[]]).values.values()) == {0.0}


def test_a_lenient_reading_of_tags_does_not_flatter():
    assert score_spans([spans_of(["B-PER", "B-PER"])], [spans_of(["I-PER", "I-PER"])]).values["f1"] == 0.0
