"""Scores of entities, strict and lenient, side by side.

| scheme | what makes a predicted entity right |
|---|---|
| strict | first and last character and the type; `precision`, `recall`, `f1` |
| exact | first and last character, whatever the type |
| partial | the same, and half right where it overlaps only |
| type | the type, where it overlaps |

Source: Segura-Bedmar, Martinez and Herrero-Zazo 2013, SemEval-2013 Task 9, section 4. Each entity is matched once; strict and
exact matches do not depend on an order, the others are made from left to right.

Shape letters: N records, B ways to weigh them, L types.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from headway.metrics.scores import Key, Scores, mean_where_known, paired, rates, rows_of, scored, unless
from headway.records import Span

Spans = Iterable[Span]
Place = tuple[int, int, str]


class Counted(NamedTuple):
    """How many entities of each record are right in each scheme, were predicted, and stand in the gold."""

    types: list[str]
    right: dict[str, csr_array]  # scheme -> (1 + L, N): all together, then each type by itself
    found_LN: csr_array  # (1 + L, N)
    real_LN: csr_array


def score_spans(gold: Sequence[Spans], predicted: Sequence[Spans]) -> Scores:
    """Strict precision, recall and F1 over all entities, the macro F1 over types, and each type by itself; then the lenient schemes.

    An entity predicted twice is right once. Where nothing is to be found and nothing is predicted, F1 is 0, as conlleval has it;
    where nothing is to be found at all, nothing is judged.

    Source: Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 Shared Task, section 2.4 (conlleval).
    """
    pairs = [(_places(truth), _places(guess)) for truth, guess in paired(gold, predicted)]
    counted = _count(pairs)
    right_N, found_N, real_N = (side[[0]].toarray()[0] for side in (counted.right["strict"], counted.found_LN, counted.real_LN))
    each_N = np.divide(2 * right_N, found_N + real_N, out=np.ones_like(right_N), where=found_N + real_N > 0)
    looked_at = {"precision": counted.found_LN, "recall": counted.real_LN, "f1": counted.found_LN + counted.real_LN}
    about = {
        (label, name + metric): records
        for metric, of_metric_LN in looked_at.items()
        for label, records in zip([None, *counted.types], rows_of(of_metric_LN), strict=True)
        for name in SCHEMES.values()
    }
    return scored("f1", partial(_weigh, counted), each_N, about=about, judged=bool(real_N.any()))


def _places(spans: Spans) -> list[Place]:
    """The spans from left to right, without their confidence, which is no part of being right."""
    return sorted((span.start, span.end, span.label) for span in spans)


def _count(pairs: Sequence[tuple[list[Place], list[Place]]]) -> Counted:
    types = sorted({label for pair in pairs for side in pair for _, _, label in side})
    row = {label: number for number, label in enumerate(types, start=1)}
    entries: dict[str, list[tuple[float, int, int]]] = {name: [] for name in (*CREDITS, "found", "real")}
    for record, (truth, guess) in enumerate(pairs):
        labels = {label for _, _, label in (*truth, *guess)}
        parts = [(0, truth, guess)] if labels else []
        parts += [(row[label], *([place for place in side if place[2] == label] for side in (truth, guess))) for label in sorted(labels)]
        for number, real, found in parts:
            entries["found"].append((len(found), number, record))
            entries["real"].append((len(real), number, record))
            for name, credit in CREDITS.items():
                entries[name].append((len(real) if real == found else credit(real, found), number, record))
    matrices = {name: _matrix(of_name, (len(types) + 1, len(pairs))) for name, of_name in entries.items()}
    return Counted(types, {name: matrices[name] for name in CREDITS}, matrices["found"], matrices["real"])


def _matrix(entries: Sequence[tuple[float, int, int]], shape: tuple[int, int]) -> csr_array:
    filled = np.array([entry for entry in entries if entry[0]], dtype=np.float64).reshape(-1, 3)
    return csr_array((filled[:, 0], filled[:, 1:].astype(np.int64).T), shape=shape)


def _weigh(counted: Counted, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    found_LB, real_LB = counted.found_LN @ weights_NB, counted.real_LN @ weights_NB
    of_scheme = {scheme: rates(right_LN @ weights_NB, found_LB, real_LB) for scheme, right_LN in counted.right.items()}
    named = {name + metric: values_LB for scheme, name in SCHEMES.items() for metric, values_LB in of_scheme[scheme].items()}
    strict_macro_B = unless(weights_NB.sum(axis=0) == 0, mean_where_known(named["f1"][1:]))
    overall = {metric: values_LB[0] for metric, values_LB in named.items()}
    overall = {metric: overall.pop(metric) for metric in ("precision", "recall", "f1")} | {"macro_f1": strict_macro_B} | overall
    of_type = named | {"support": real_LB}
    return {(None, metric): values_B for metric, values_B in overall.items()} | {
        (label, metric): values_LB[number]
        for number, label in enumerate(counted.types, start=1)
        for metric, values_LB in of_type.items()
        if not metric.startswith("exact")  # of one type it is the strict one
    }


# --- the schemes: how many of the predicted places are right


def _strict(real: Sequence[Place], found: Sequence[Place]) -> float:
    return (Counter(real) & Counter(found)).total()


def _exact(real: Sequence[Place], found: Sequence[Place]) -> float:
    return _strict([place[:2] for place in real], [place[:2] for place in found])


def _partial(real: Sequence[Place], found: Sequence[Place]) -> float:
    """Half a point for each pair that overlaps, and half more for each pair that covers the same."""
    credit, free = 0.0, list(real)
    for place in found:
        if near := [other for other in free if _overlap(place, other)]:
            same = [other for other in near if other[:2] == place[:2]]
            free.remove((same or near)[0])
            credit += 1.0 if same else 0.5
    return credit


def _type(real: Sequence[Place], found: Sequence[Place]) -> float:
    """Each takes the entity of its type whose ends are nearest, or else one of another type, which it is then wrong about."""
    credit, free = 0, list(real)
    for place in found:
        if near := [other for other in free if _overlap(place, other)]:
            of_type = [other for other in near if other[2] == place[2]]
            free.remove(min(of_type, key=partial(_distance, place)) if of_type else near[0])
            credit += bool(of_type)
    return credit


def _overlap(place: Place, other: Place) -> bool:
    return place[0] < other[1] and other[0] < place[1]


def _distance(place: Place, other: Place) -> int:
    return abs(place[0] - other[0]) + abs(place[1] - other[1])


CREDITS: Mapping[str, Callable[[Sequence[Place], Sequence[Place]], float]] = {
    "strict": _strict,
    "exact": _exact,
    "partial": _partial,
    "type": _type,
}
SCHEMES = {"strict": "", "exact": "exact_", "partial": "partial_", "type": "type_"}  # and how its metrics are named
