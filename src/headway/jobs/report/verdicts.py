"""What each answer is worth: right or not, what was confused with what, and whether it is the label that may be wrong.

A label is suspected where the model, which has not learned from it, says something else, and is as sure of that as it is in the mean
where it says the same and is right. Whether it was the label or the model, only a person can tell.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import zip_longest
from statistics import fmean
from typing import NamedTuple

from headway.jobs.scored import Example, kind_of
from headway.metrics import answer_em
from headway.records import Span

NOTHING = "(nothing)"  # what is said of an entity that was missed, or labelled of one that was invented
BORDERS = "other borders"  # what is said of an entity whose type is found, and not where it begins and ends
LEAST_SURE = 0.5  # to doubt a label
ANSWER, NO_ANSWER, OTHER_ANSWER = "answer", "no answer", "another answer"


class Verdict(NamedTuple):
    right: bool
    gold: tuple[str, ...]  # the classes or types that people say
    said: tuple[str, ...]  # and the model
    confused: tuple[tuple[str, str], ...]  # (gold, said) of everything that was to be decided, right ones too
    sure: float | None  # 0 to 1, of what is wrong or, where nothing is, of what is right; None where nothing was said
    suspect: bool = False
    off: float | None = None  # of a number: how far away


def judge(examples: Sequence[Example]) -> list[Verdict]:
    return JUDGES[kind_of(examples[0])](examples) if examples else []


def _means(pairs: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The mean confidence of each class, of (class, confidence)."""
    of_class = defaultdict(list)
    for name, sure in pairs:
        of_class[name].append(sure)
    return {name: fmean(values) for name, values in of_class.items()}


def _surer(sure: float | None, usual: dict[str, float], name: str) -> bool:
    """Whether it is as sure as it usually is where it is right, and surer than not; never where it has not been right."""
    return sure is not None and name in usual and sure >= max(usual[name], LEAST_SURE)


# --- classes


def _judge_classes(examples: Sequence[Example]) -> list[Verdict]:
    right = [(e.said.label, e.said.confidence) for e in examples if e.said.label == e.record.label and e.said.confidence is not None]
    usual = _means(right)
    return [_of_class(e, usual) for e in examples]


def _of_class(example: Example, usual: dict[str, float]) -> Verdict:
    gold, said, sure = example.record.label, example.said.label, example.said.confidence
    return Verdict(gold == said, (gold,), (said,), ((gold, said),), sure, gold != said and _surer(sure, usual, said))


def _judge_label_sets(examples: Sequence[Example]) -> list[Verdict]:
    usual = _means([(name, e.said.scores[name]) for e in examples if e.said.scores for name in set(e.said.label) & set(e.record.label)])
    return [_of_label_set(e, usual) for e in examples]


def _of_label_set(example: Example, usual: dict[str, float]) -> Verdict:
    gold, said, scores = example.record.label, example.said.label, example.said.scores or {}
    missed, wrong = [name for name in gold if name not in said], [name for name in said if name not in gold]
    pairs = [(name, name) for name in gold if name in said] + list(zip_longest(missed, wrong, fillvalue=NOTHING))
    surest = [scores[name] for name in wrong if name in scores]
    agreed = [scores[name] for name in said if name in scores]
    suspect = any(_surer(scores.get(name), usual, name) for name in wrong)
    sure = max(surest, default=None) if missed or wrong else min(agreed, default=None)
    return Verdict(not missed and not wrong, gold or (NOTHING,), said or (NOTHING,), tuple(pairs), sure, suspect)


def _judge_numbers(examples: Sequence[Example]) -> list[Verdict]:
    """No number is right or wrong: those nearer than the mean distance count as right here."""
    off = [abs(e.said.label - e.record.label) for e in examples]
    usual = fmean(off)
    return [Verdict(distance <= usual, (), (), (), None, off=distance) for distance in off]


# --- entities


def _judge_entities(examples: Sequence[Example]) -> list[Verdict]:
    usual = _means([(s.label, s.confidence) for e in examples for s in e.said.entities if s.confidence is not None and _in_gold(s, e)])
    return [_of_entities(e, usual) for e in examples]


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _in_gold(span: Span, example: Example) -> bool:
    return _place(span) in {_place(gold) for gold in example.record.entities}


def _of_entities(example: Example, usual: dict[str, float]) -> Verdict:
    gold, said = example.record.entities, example.said.entities
    wrong = [span for span in said if not _in_gold(span, example)]
    pairs = tuple(entity_pairs(gold, said))
    right = sorted(map(_place, gold)) == sorted(map(_place, said))
    sures = [span.confidence for span in wrong or said if span.confidence is not None]
    return Verdict(
        right,
        tuple(dict.fromkeys(span.label for span in gold)) or (NOTHING,),
        tuple(dict.fromkeys(span.label for span in said)) or (NOTHING,),
        pairs,
        (max(sures, default=None) if wrong else None if not right else min(sures, default=None)),
        any(_surer(span.confidence, usual, span.label) for span in wrong if not _near(span, gold)),
    )


def _near(span: Span, gold: Sequence[Span]) -> bool:
    """Whether there is one of its type: of two that differ in their borders alone, a model is seldom the better judge."""
    return any(other.label == span.label and other.start < span.end and other.end > span.start for other in gold)


def entity_pairs(gold: Sequence[Span], said: Sequence[Span]) -> list[tuple[str, str]]:
    """Each entity with what was said of it: its own type, another, its own with other borders, or nothing; then what was invented."""
    left, missed, pairs = list(said), [], []
    for span in gold:
        same = next((other for other in left if _place(other) == _place(span)), None)
        if same is None:
            missed.append(span)
        else:
            left.remove(same)
            pairs.append((span.label, span.label))
    for span in missed:
        near = next((other for other in left if other.start < span.end and other.end > span.start), None)
        if near is None:
            pairs.append((span.label, NOTHING))
        else:
            left.remove(near)
            pairs.append((span.label, BORDERS if near.label == span.label else near.label))
    return pairs + [(NOTHING, span.label) for span in left]


# --- answers


def _judge_answers(examples: Sequence[Example]) -> list[Verdict]:
    said = [_answered(e) for e in examples]
    right = [(s, e.said.confidence) for e, (s, is_right) in zip(examples, said, strict=True) if is_right and e.said.confidence is not None]
    usual = _means([(NO_ANSWER if s == NO_ANSWER else ANSWER, sure) for s, sure in right])
    return [_of_answer(e, s, is_right, usual) for e, (s, is_right) in zip(examples, said, strict=True)]


def _answered(example: Example) -> tuple[str, bool]:
    """What was said, and whether it is right: another answer is one where there is an answer, and it is not this."""
    record, said = example.record, example.said.answer or ""
    right = answer_em([record.text[span.start : span.end] for span in record.answers], said) == 1
    if not said:
        return NO_ANSWER, right
    return (ANSWER if right or not record.answers else OTHER_ANSWER), right


def _of_answer(example: Example, said: str, right: bool, usual: dict[str, float]) -> Verdict:
    gold = ANSWER if example.record.answers else NO_ANSWER
    suspect = not right and _surer(example.said.confidence, usual, NO_ANSWER if said == NO_ANSWER else ANSWER)
    return Verdict(right, (gold,), (said,), ((gold, said),), example.said.confidence, suspect)


JUDGES: dict[str, Callable[[Sequence[Example]], list[Verdict]]] = {
    "class": _judge_classes,
    "labels": _judge_label_sets,
    "number": _judge_numbers,
    "entities": _judge_entities,
    "answers": _judge_answers,
}
