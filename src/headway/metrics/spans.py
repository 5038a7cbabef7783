"""Scores of entities: right means the same first and last character and the same type."""

from collections import Counter
from collections.abc import Iterable, Sequence

from headway.metrics.scores import Scores, paired
from headway.records import Span

Spans = Iterable[Span]


def score_spans(gold: Sequence[Spans], predicted: Sequence[Spans]) -> Scores:
    """Strict precision, recall and F1 over all entities, the macro F1 over types, and each type by itself.

    An entity predicted twice is right once. Where nothing is to be found and nothing is predicted, F1 is 0, as conlleval has it.

    Source: Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 Shared Task, section 2.4 (conlleval).
    """
    pairs = [(_places(truth), _places(guess)) for truth, guess in paired(gold, predicted)]
    right = _by_type(truth & guess for truth, guess in pairs)
    found = _by_type(guess for _, guess in pairs)
    real = _by_type(truth for truth, _ in pairs)
    by_label = {kind: _rates(right[kind], found[kind], real[kind]) for kind in sorted(found.keys() | real.keys())}
    overall = _rates(right.total(), found.total(), real.total())
    values = {name: overall[name] for name in ("precision", "recall", "f1")}
    values["macro_f1"] = sum(rates["f1"] for rates in by_label.values()) / max(len(by_label), 1)
    return Scores(main="f1", values=values, by_label=by_label)


def _places(spans: Spans) -> Counter[tuple[int, int, str]]:
    """The spans without their confidence, which is no part of being right."""
    return Counter((span.start, span.end, span.label) for span in spans)


def _by_type(places: Iterable[Counter[tuple[int, int, str]]]) -> Counter[str]:
    return Counter(label for of_record in places for _, _, label in of_record.elements())


def _rates(right: int, found: int, real: int) -> dict[str, float]:
    """Precision, recall, F1 and support from how many are right, were predicted, and stand in the gold; 0 where one would divide by 0."""
    return {
        "precision": right / found if found else 0.0,
        "recall": right / real if real else 0.0,
        "f1": 2 * right / (found + real) if found + real else 0.0,
        "support": float(real),
    }
