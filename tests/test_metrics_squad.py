"""Answer scores: the published SQuAD 2.0 rules, written down here once more and on their own, are the reference."""

import collections
import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.metrics import answer_em, answer_f1, best_no_answer_threshold, normalise_answer, score_answers

WORDS = [
    "the",
    "The",
    "a",
    "an",
    "AN",
    "cat",
    "Cat's",
    "cats",
    "-",
    "...",
    "U.S.",
    "“quoted”",
    "naïve",
    "NAÏVE",
    "\u00a0",
    "été",
    "a-b",
    "theory",
    "12,5",
    "İ",
]
ANSWER = st.one_of(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), st.text(max_size=12))
QUESTION = st.tuples(st.lists(ANSWER, max_size=3), ANSWER)
promise = settings(max_examples=60)


def reference_normal_form(text):
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text, flags=re.UNICODE)
    return " ".join(text.split())


def reference_f1(gold, predicted):
    gold_words, predicted_words = reference_normal_form(gold).split(), reference_normal_form(predicted).split()
    common = sum((collections.Counter(gold_words) & collections.Counter(predicted_words)).values())
    if len(gold_words) == 0 or len(predicted_words) == 0:
        return int(gold_words == predicted_words)
    if common == 0:
        return 0
    precision, recall = common / len(predicted_words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def reference_scores(answers, predicted):
    accepted = [answer for answer in answers if reference_normal_form(answer)]
    if not accepted:
        accepted = [""]
    exact = max(int(reference_normal_form(answer) == reference_normal_form(predicted)) for answer in accepted)
    return exact, max(reference_f1(answer, predicted) for answer in accepted)


@promise
@given(QUESTION)
def test_one_answer_scores_as_the_published_rules_say(question):
    assert (answer_em(*question), answer_f1(*question)) == pytest.approx(reference_scores(*question))


@promise
@given(ANSWER)
def test_an_answer_is_normalised_as_published(text):
    assert normalise_answer(text) == reference_normal_form(text)


@promise
@given(st.lists(QUESTION, min_size=1, max_size=12))
def test_all_questions_score_as_the_published_rules_say(questions):
    values = score_answers(*zip(*questions, strict=True)).values
    rows = [(bool(answers), *reference_scores(answers, predicted)) for answers, predicted in questions]
    expected = {"": rows}
    if not all(answered for answered, *_ in rows):
        expected |= {"HasAns_": [row for row in rows if row[0]], "NoAns_": [row for row in rows if not row[0]]}
    means = {
        prefix + name: sum(r[i] for r in part) / len(part)
        for prefix, part in expected.items()
        if part
        for i, name in ((1, "em"), (2, "f1"))
    }
    assert values == pytest.approx(means)


@promise
@given(st.lists(QUESTION, min_size=1, max_size=12))
def test_answer_scores_stay_in_bounds_and_do_not_depend_on_the_order_of_questions(questions):
    values = score_answers(*zip(*questions, strict=True)).values
    mixed = random.Random(1).sample(questions, len(questions))
    assert all(0 <= value <= 1 for value in values.values())
    assert values["em"] <= values["f1"] + 1e-9
    assert values == pytest.approx(score_answers(*zip(*mixed, strict=True)).values)


@pytest.mark.parametrize(
    ("answers", "predicted", "em", "f1"),
    [
        (["the cat"], "Cat.", 1, 1),
        (["the black cat"], "a cat", 0, 2 / 3),
        (["cat", "black cat"], "black cats", 0, 1 / 2),
        ([], "", 1, 1),
        ([], "cat", 0, 0),
        ([], "the", 1, 1),  # nothing is left of it
        (["cat"], "", 0, 0),
        (["a-b"], "ab", 1, 1),  # punctuation goes before articles
        (["“cat”"], "cat", 0, 0),  # typographic quotes are not ASCII punctuation
        (["the"], "", 1, 1),
        (["cat cat"], "cat", 0, 2 / 3),
    ],
)
def test_hard_answers(answers, predicted, em, f1):
    assert (answer_em(answers, predicted), answer_f1(answers, predicted)) == pytest.approx((em, f1))


ADVERSARIAL = (
    "the", "The THE the", "a an the", "an", "A.", "a.n", "t-h-e", "(the) end", "theatre", "the\u00a0cat",
    "the_cat", "a1", "'s", "…", "—", "!!!", "", " ", "\t\n", "\u200b", "\u3000cat\u3000", "Ａ", "É", "e\u0301",
    "ß", "SS", "İ", "i\u0307", "ﬁ", "fi", "ǅ", "\ud800", "👍🏽", "٣", "½", "x\x00y", "the cat", "cat the",
    "cat, the", "cat;a;dog", "O'Neil", "O’Neil", "$5", "5 $", "#1", "1,000", "1000", "U.S.A.", "usa", "co-op",
    "coop",
)  # fmt: skip


def test_adversarial_answers_score_as_the_published_rules_say():
    for gold in ADVERSARIAL:
        assert normalise_answer(gold) == reference_normal_form(gold)
        for predicted in ADVERSARIAL:
            found = answer_em([gold], predicted), answer_f1([gold], predicted)
            assert found == pytest.approx(reference_scores([gold], predicted)), (gold, predicted)
            assert (answer_em([], predicted), answer_f1([], predicted)) == reference_scores([], predicted)


def test_adversarial_answers_score_the_same_all_together():
    generator = random.Random(3)
    questions = [(generator.sample(ADVERSARIAL, generator.randint(0, 3)), generator.choice(ADVERSARIAL)) for _ in range(10_000)]
    values = score_answers(*zip(*questions, strict=True)).values
    rows = [(bool(answers), *reference_scores(answers, predicted)) for answers, predicted in questions]
    for prefix, kinds in {"": (True, False), "HasAns_": (True,), "NoAns_": (False,)}.items():
        for place, metric in ((1, "em"), (2, "f1")):
            of_kind = [row[place] for row in rows if row[0] in kinds]
            assert values[prefix + metric] == pytest.approx(sum(of_kind) / len(of_kind))


def test_perfect_answers_score_one():
    assert set(score_answers([["the cat", "cat"], []], ["cat", ""]).values.values()) == {1.0}


def test_questions_that_all_have_answers_are_not_reported_by_kind():
    scores = score_answers([["cat"]], ["cat"])
    assert scores.main == "f1"
    assert set(scores.values) == {"em", "f1"}


# -- the no-answer threshold


def total_f1(rows, threshold):
    """What the questions earn in all: (null minus best, f1 of the best span, answerable) each."""
    return sum((not answerable) if difference > threshold else f1 for difference, f1, answerable in rows)


@st.composite
def judged_questions(draw):
    differences = st.integers(-4, 4).map(float) if draw(st.booleans()) else st.floats(-30, 30)
    answerable = st.tuples(differences, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.just(True))
    unanswerable = st.tuples(differences, st.just(0.0), st.just(False))
    return draw(st.lists(st.one_of(answerable, unanswerable), min_size=1, max_size=20))


@promise
@given(judged_questions())
def test_no_threshold_earns_more_than_the_best_one(rows):
    best = total_f1(rows, best_no_answer_threshold(*zip(*rows, strict=True)))
    assert best == max(total_f1(rows, threshold) for threshold in [-100.0, *(row[0] for row in rows)])


@promise
@given(judged_questions())
def test_the_best_threshold_does_not_depend_on_the_order_of_questions(rows):
    mixed = random.Random(1).sample(rows, len(rows))
    assert best_no_answer_threshold(*zip(*rows, strict=True)) == best_no_answer_threshold(*zip(*mixed, strict=True))


def test_the_no_answer_threshold_earns_what_the_published_sweep_finds():
    generator = random.Random(1)
    rows = [(generator.gauss(0, 3), generator.random() * answerable, answerable) for answerable in [True, False] * 200]
    current = best = sum(not answerable for *_, answerable in rows)
    for _, f1, answerable in sorted(rows):
        current += f1 if answerable else -1
        best = max(best, current)
    assert total_f1(rows, best_no_answer_threshold(*zip(*rows, strict=True))) == pytest.approx(best)


def test_the_no_answer_threshold_lies_half_way_between_its_neighbours():
    assert best_no_answer_threshold([-2.0, 3.0], [1.0, 0.0], [True, False]) == 0.5


def test_the_threshold_lies_beyond_the_last_question_where_all_are_best_answered():
    assert best_no_answer_threshold([-2.0, 3.0], [1.0, 1.0], [True, True]) == 4.0


def test_the_threshold_lies_before_the_first_question_where_none_is_best_answered():
    assert best_no_answer_threshold([-2.0, 3.0], [0.0, 0.0], [False, False]) == -3.0


def test_questions_of_equal_score_are_never_parted():
    assert best_no_answer_threshold([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [True, False, False]) == -1.0
