"""Scores of parts of the records: where a model is weak. Shape letter: N records."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from headway.metrics.resampling import with_intervals
from headway.metrics.scores import Scores
from headway.records import Prediction, Record
from headway.words import WORD

Score = Callable[[Sequence[Record], Sequence[Prediction]], Scores]
FEWEST = 5  # records; of fewer, nothing can be said
MOST = 30  # slices by one name: the largest
METRICS = ("accuracy", "samples_f1", "mae", "f1")  # the first that there is: a mean over records, which means the same in every slice


class Slice(NamedTuple):
    """How the records of a slice score."""

    records: int
    metric: str
    value: float
    low: float
    high: float


def slice_scores(
    score: Score, records: Sequence[Record], predictions: Sequence[Prediction], members: Mapping[str, np.ndarray]
) -> dict[str, Slice]:
    """The score of each slice; `members` holds the positions of its records. The smallest are left away where there are very many.

    So are slices of texts without an entity: whatever is said of them, nothing can be found, and F1 is 0.
    """
    scored = [name for name, places in members.items() if len(places) >= FEWEST and any(records[i].entities != () for i in places)]
    largest = sorted(scored, key=lambda name: -len(members[name]))[:MOST]
    chosen = {name: places for name, places in members.items() if name in set(largest)}
    return {name: _slice(score, [records[i] for i in places], [predictions[i] for i in places]) for name, places in chosen.items()}


def _slice(score: Score, records: Sequence[Record], predictions: Sequence[Prediction]) -> Slice:
    scores = with_intervals(score(records, predictions), [record.unit for record in records])
    metric = next(name for name in METRICS if name in scores.values)
    return Slice(len(records), metric, scores.values[metric], *(scores.interval(metric) or (0.0, 1.0)))


def by_value(values: Sequence[str]) -> dict[str, np.ndarray]:
    """The positions of each value; those without one are in no slice."""
    places: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        if value:
            places.setdefault(value, []).append(place)
    return {value: np.array(of_value) for value, of_value in places.items()}


def by_length(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Thirds, by the words of the text."""
    return _thirds([len(WORD.findall(record.text)) for record in records], "words")


def by_class(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """By class, by each label or entity type a record has, by whether a question has an answer, or thirds of a number."""
    if isinstance(records[0].label, float):
        return _thirds([record.label for record in records], "")
    having = [_classes(record) for record in records]
    return {
        name: np.array([p for p, names in enumerate(having) if name in names])
        for name in dict.fromkeys(n for names in having for n in names)
    }


def by_rare_words(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Texts, or questions, with a word that no other of them has, and the rest."""
    asked = [record.question or record.text for record in records]
    words_of = {text: set(WORD.findall(text.casefold())) for text in asked}
    texts_with = Counter(word for words in words_of.values() for word in words)
    return by_value(["some" if any(texts_with[word] == 1 for word in words_of[text]) else "none" for text in asked])


def by_group(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """By document, author, ...: whatever the records are grouped by."""
    return by_value([record.group for record in records])


SLICES: dict[str, Callable[[Sequence[Record]], dict[str, np.ndarray]]] = {
    "length": by_length,
    "class": by_class,
    "rare words": by_rare_words,
    "group": by_group,
}


def _classes(record: Record) -> set[str]:
    if record.entities is not None:
        return {span.label for span in record.entities} or {"no entity"}
    if record.answers is not None:
        return {"answer" if record.answers else "no answer"}
    return {record.label} if isinstance(record.label, str) else set(record.label or ()) or {"no label"}


def _thirds(numbers: Sequence[float], unit: str) -> dict[str, np.ndarray]:
    """As near to thirds as equal numbers, which stay together, allow."""
    number_N = np.asarray(numbers, dtype=np.float64)
    first, second = np.quantile(number_N, [1 / 3, 2 / 3], method="inverted_cdf")
    third_N = (number_N > first).astype(int) + (number_N > second)
    names = (f"up to {first:g} {unit}", f"over {first:g}, up to {second:g} {unit}", f"over {second:g} {unit}")
    return {name.strip(): places for third, name in enumerate(names) if len(places := np.flatnonzero(third_N == third))}
