"""Labels that are probably wrong: what a model says of records that it was not fitted on, against what people say.

A linear model is fitted on the frozen encoder's features of four fifths of the records and predicts the last fifth, five times; equal
texts are never on both sides. Confident learning then tells how many labels are wrong: so many of those that the model believes least.

A word is told by its own and its neighbours' tokens in the middle of the encoder, whose last layer is made for whole texts, and by how it
is written (LOG.md, "label errors of entities").

Of a set of labels each class is a question by itself, yes or no, with a linear model of its own.

Answers to questions are not looked at. Confident learning weighs what is said against the other classes that it could be, and an answer
is no class: it is a place in one text, of which a model of frozen features knows next to nothing, and several places may be right. What
can be told of answers without a model, the audit tells (`answer_places`, `answers_in_words`, `answers_apart`).

Shape letters: U units that carry a label (records, or the words of records), D width of the features, C classes, N tokens of a window.

Sources: Northcutt, Jiang and Chuang 2021, Confident Learning, arXiv:1911.00068, as cleanlab implements it; for the middle of the encoder,
Tenney, Das and Pavlick 2019, BERT Rediscovers the Classical NLP Pipeline, arXiv:1905.05950.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from headway.errors import ConfigError
from headway.model import Model
from headway.probe import features
from headway.records import Record, Span, Window

FOLDS = 5
STRENGTH = 0.1  # of logistic regression; a looser fit learns wrong labels by heart (LOG.md, "label errors")
STRENGTH_OF_WORDS = 0.02  # the same for words, of which there are many, and whose features are wider
RECORDS_AT_ONCE = 512
MOST_UNITS = 60_000  # that a fold is fitted on; of more, a sample
UNITS_AT_ONCE = 20_000  # predicted
OUTSIDE = "O"  # a word of no entity
EMPTY = "no label"  # a set of none


class Suspect(NamedTuple):
    """A label that is probably wrong."""

    record: int  # its position
    given: str
    suggested: str
    surely: float  # 0 to 1: what the model gives to all other labels
    span: Span | None = None  # the words that it is about, where it is an entity's


class Looked(NamedTuple):
    """How far the work has come."""

    done: int
    total: int
    what: str = "reading features"


class Units(NamedTuple):
    """What carries a label, one row each."""

    record_U: np.ndarray
    features_UD: np.ndarray
    classes_U: np.ndarray  # int64; of sets of labels the rarest, or as many as there are names where there is none
    names: tuple[str, ...]
    spans: list[Span] | None = None
    sets_UC: np.ndarray | None = None  # bool: which labels each has


def check_task(kind: str) -> None:
    """Raise ConfigError where cleanlab is missing, or labels of this kind are not looked at."""
    if kind not in _UNITS:
        raise ConfigError(
            f"label errors are looked for among classes, sets of them and entities, not in {_NOT[kind]}: leave --label-errors away"
        )
    if find_spec("cleanlab") is None:
        raise ConfigError("looking for label errors needs cleanlab: pip install headway[cleanlab]")


def find_label_errors(model: Model, records: Sequence[Record], *, seed: int) -> Iterator[Looked | Suspect]:
    """Suspects come last, the surest first. Classes, sets of them, or entities; `model` needs no training.

    Raises:
        ConfigError: cleanlab is missing, or the task has no classes.
    """
    kind = getattr(model.task, "kind", model.task.name)
    check_task(kind)
    if kind == "ner":
        model.encoder.read_layer((model.encoder.network.config.num_hidden_layers + 1) // 2)
    parts: list[Units] = []
    for start in range(0, len(records), RECORDS_AT_ONCE):
        parts.append(_UNITS[kind](model, records[start : start + RECORDS_AT_ONCE], start))
        yield Looked(min(start + RECORDS_AT_ONCE, len(records)), len(records))
    units = _joined(parts)
    fold_U = _folds(records, units, seed=seed)
    probabilities_UC = np.zeros((len(fold_U), len(units.names)))
    for fold in range(FOLDS):
        yield Looked(fold, FOLDS, "fitting")
        held = fold_U == fold
        probabilities_UC[held] = _predicted(units, held, seed=seed)
    yield from _ranked(units, probabilities_UC, records) if units.sets_UC is None else _ranked_sets(units, probabilities_UC)


def _ranked(units: Units, probabilities_UC: np.ndarray, records: Sequence[Record]) -> Iterator[Suspect]:
    from cleanlab.filter import find_label_issues  # here: it is an extra, and slow to import

    present = np.unique(units.classes_U)
    columns_UC = probabilities_UC[:, present] / probabilities_UC[:, present].sum(axis=1, keepdims=True)
    given_U = np.searchsorted(present, units.classes_U)
    order = find_label_issues(given_U, columns_UC, return_indices_ranked_by="self_confidence", filter_by="low_self_confidence", n_jobs=1)
    found = [
        Suspect(
            int(units.record_U[unit]),
            units.names[units.classes_U[unit]],
            units.names[present[columns_UC[unit].argmax()]],
            float(1 - columns_UC[unit, given_U[unit]]),
            units.spans[unit] if units.spans is not None else None,
        )
        for unit in order
    ]
    runs = _runs(found, records) if units.spans is not None else found
    yield from sorted((one for one in runs if one.given != one.suggested), key=lambda one: -one.surely)


def _ranked_sets(units: Units, probabilities_UC: np.ndarray) -> Iterator[Suspect]:
    """Sets of which a label is probably wrong, or one is missing; as sure as of the surest of these."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class  # here: as in `_ranked`

    given_UC = units.sets_UC
    asked = np.flatnonzero(given_UC.any(axis=0) & ~given_UC.all(axis=0))
    labels = [np.flatnonzero(row).tolist() for row in given_UC[:, asked]]
    wrong_UC = np.zeros_like(given_UC)
    wrong_UC[:, asked] = find_multilabel_issues_per_class(labels, probabilities_UC[:, asked], filter_by="low_self_confidence", n_jobs=1)
    wrong_UC &= (probabilities_UC > 0.5) != given_UC
    against_UC = np.where(given_UC, 1 - probabilities_UC, probabilities_UC) * wrong_UC
    for unit in sorted(np.flatnonzero(wrong_UC.any(axis=1)).tolist(), key=lambda unit: -against_UC[unit].max()):
        given, suggested = (_set_of(units.names, row) for row in (given_UC[unit], given_UC[unit] ^ wrong_UC[unit]))
        yield Suspect(int(units.record_U[unit]), given, suggested, float(against_UC[unit].max()))


def _set_of(names: Sequence[str], has_C: np.ndarray) -> str:
    return ", ".join(name for name, has in zip(names, has_C, strict=True) if has) or EMPTY


def _runs(found: list[Suspect], records: Sequence[Record]) -> Iterator[Suspect]:
    """Neighbouring words of which the same is said, as one; as sure as the surest of them."""
    runs: list[Suspect] = []
    for one in sorted(found, key=lambda suspect: (suspect.record, suspect.span.start)):
        last = runs[-1] if runs else None
        if last and last[:3] == one[:3] and not records[one.record].text[last.span.end : one.span.start].strip():
            runs[-1] = last._replace(surely=max(last.surely, one.surely), span=Span(last.span.start, one.span.end))
        else:
            runs.append(one)
    yield from runs


# --- what carries a label


def _class_units(model: Model, records: Sequence[Record], first: int) -> Units:
    column = {name: number for number, name in enumerate(model.task.labels)}
    classes_U = np.array([column[record.label] for record in records])
    return Units(first + np.arange(len(records)), _features_of_texts(model, records), classes_U, model.task.labels)


def _set_units(model: Model, records: Sequence[Record], first: int) -> Units:
    names = model.task.labels
    sets_UC = np.array([[name in record.label for name in names] for record in records])
    return Units(first + np.arange(len(records)), _features_of_texts(model, records), np.zeros(len(records), int), names, sets_UC=sets_UC)


def _features_of_texts(model: Model, records: Sequence[Record]) -> np.ndarray:
    """(U, D); of several windows the mean, long ones counting for more."""
    windows = model.task.windows(records, model.tokenizer)
    features_WD, weight_W = features(model, windows), np.array([len(window) for window in windows], dtype=np.float64)
    of_W = np.array([window.record for window in windows])
    total_UD, weight_U = np.zeros((len(records), features_WD.shape[1])), np.zeros(len(records))
    np.add.at(total_UD, of_W, features_WD * weight_W[:, None])
    np.add.at(weight_U, of_W, weight_W)
    return (total_UD / weight_U[:, None]).astype(np.float32)


def _word_units(model: Model, records: Sequence[Record], first: int) -> Units:
    """The words of the windows, with the type of the entity that they are of."""
    windows = model.task.windows(records, model.tokenizer)
    rows = features(model, windows)
    read_UD = np.concatenate([_mean_of_tokens(row, window) for row, window in zip(rows, windows, strict=True)])
    tags_U = np.concatenate([window.targets_A[window.units[:, 0]] for window in windows])
    record_U = np.concatenate([np.full(len(window.units), first + window.record) for window in windows])
    spans = [Span(int(start), int(end)) for window in windows for _, start, end in window.units]
    texts = [records[window.record].text for window in windows for _ in window.units]
    written_UD = np.array([_spelling(text, span) for text, span in zip(texts, spans, strict=True)]).reshape(len(spans), -1)
    features_UD = np.concatenate([read_UD, written_UD], axis=1).astype(np.float16)
    return Units(record_U, features_UD, (tags_U + 1) // 2, (OUTSIDE, *model.task.types), spans)


def _mean_of_tokens(row_ND: np.ndarray, window: Window) -> np.ndarray:
    """(U, D): of every unit of the window, the mean over its tokens."""
    first_U, start_U, end_U = window.units.T
    unit_N = np.searchsorted(first_U, np.arange(len(row_ND)), side="right") - 1
    inside_N = (unit_N >= 0) & (window.offsets_N2[:, 0] < end_U[unit_N]) & (window.offsets_N2[:, 1] > start_U[unit_N])
    inside_N[first_U] = True
    total_UD = np.zeros((len(first_U), row_ND.shape[1]), dtype=np.float32)
    np.add.at(total_UD, unit_N[inside_N], row_ND[inside_N])
    return total_UD / np.bincount(unit_N[inside_N], minlength=len(first_U))[:, None]


def _spelling(text: str, span: Span) -> list[bool]:
    """How a word is written and where it stands, as far as that tells names from other words."""
    word = text[span.start : span.end]
    return [
        word[:1].isupper(),
        word.isupper(),
        word.islower(),
        word.isdigit(),
        any(map(str.isdigit, word)),
        "-" in word,
        not word[:1].isalnum(),
        len(word) == 1,
        word.endswith("."),
        span.start == 0,
        text.isupper(),
    ]


_UNITS = {"single": _class_units, "multi": _set_units, "ner": _word_units}
_NOT = {"number": "numbers", "qa": "answers"}


def _joined(parts: Sequence[Units]) -> Units:
    record_U, features_UD, classes_U = (np.concatenate([part[column] for part in parts]) for column in range(3))
    spans = None if parts[0].spans is None else [span for part in parts for span in part.spans]
    if parts[0].sets_UC is None:
        return Units(record_U, features_UD, classes_U, parts[0].names, spans)
    sets_UC = np.concatenate([part.sets_UC for part in parts])
    return Units(record_U, features_UD, _rarest(sets_UC), parts[0].names, spans, sets_UC)


def _rarest(sets_UC: np.ndarray) -> np.ndarray:
    """classes_U: the rarest label of each, or C where there is none."""
    counts_C = np.where(sets_UC, sets_UC.sum(axis=0), len(sets_UC) + 1)
    return np.where(sets_UC.any(axis=1), counts_C.argmin(axis=1), sets_UC.shape[1])


# --- out of fold


def _folds(records: Sequence[Record], units: Units, *, seed: int) -> np.ndarray:
    """fold_U: every class dealt out evenly, equal texts and the words of one record together."""
    text_of = [" ".join(record.text.casefold().split()) for record in records]
    rarest: dict[str, int] = {}
    counts = np.bincount(units.classes_U)
    for record, name in zip(units.record_U.tolist(), units.classes_U.tolist(), strict=True):
        known = rarest.get(text_of[record])
        rarest[text_of[record]] = name if known is None or counts[name] < counts[known] else known
    texts = list(rarest)
    shuffled = np.random.default_rng(seed).permutation(len(texts))
    dealt = sorted(shuffled.tolist(), key=lambda number: rarest[texts[number]])
    fold_of = {texts[number]: place % FOLDS for place, number in enumerate(dealt)}
    return np.array([fold_of[text_of[record]] for record in units.record_U.tolist()])


def _predicted(units: Units, held: np.ndarray, *, seed: int) -> np.ndarray:
    """Probabilities of the held units; a class that none of the others is of gets none."""
    held_U, train_U = np.flatnonzero(held), np.flatnonzero(~held)
    if len(train_U) > MOST_UNITS:
        train_U = np.sort(np.random.default_rng(seed).choice(train_U, MOST_UNITS, replace=False))
    if units.sets_UC is not None:
        return np.stack([_yes(units, train_U, held_U, has_U) for has_U in units.sets_UC.T], axis=1)
    found = np.zeros((len(held_U), len(units.names)))
    classes_U = units.classes_U[train_U]
    if not len(found) or np.ptp(classes_U) == 0:
        found[:, classes_U[0] if len(classes_U) else 0] = 1.0
        return found
    strength = STRENGTH if units.spans is None else STRENGTH_OF_WORDS
    fitted = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(_told(units, train_U), classes_U)
    for start in range(0, len(held_U), UNITS_AT_ONCE):
        some = slice(start, start + UNITS_AT_ONCE)
        found[some, fitted.classes_] = fitted.predict_proba(_told(units, held_U[some]))
    return found


def _yes(units: Units, train_U: np.ndarray, held_U: np.ndarray, has_U: np.ndarray) -> np.ndarray:
    """How probable one label is for each of the held units; where all others are alike, it is as with them."""
    known_U = has_U[train_U]
    if not len(known_U) or known_U.all() == known_U.any():
        return np.full(len(held_U), float(known_U.any()))
    fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(units.features_UD[train_U], known_U)
    return fitted.predict_proba(units.features_UD[held_U])[:, 1]


def _told(units: Units, chosen_U: np.ndarray) -> np.ndarray:
    """What the model is told of each chosen unit: its features, and of a word those of the words beside it too, or zeros."""
    if units.spans is None:
        return units.features_UD[chosen_U]
    beside = [_beside(units, chosen_U, step) for step in (-1, 1)]
    return np.concatenate([units.features_UD[chosen_U].astype(np.float32), *beside], axis=1)


def _beside(units: Units, chosen_U: np.ndarray, step: int) -> np.ndarray:
    """Features of the word before (-1) or behind (1) each chosen one in its text."""
    place_U = np.clip(chosen_U + step, 0, len(units.record_U) - 1)
    same_U = (units.record_U[place_U] == units.record_U[chosen_U]) & (place_U != chosen_U)
    return units.features_UD[place_U].astype(np.float32) * same_U[:, None]
