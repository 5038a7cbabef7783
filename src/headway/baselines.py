"""What can be had without a neural network: baselines that say whether fine-tuning was worth it.

Each is learned from labelled records in seconds and then predicts as a model does. They are to be simple and honest: the simplest that
somebody would try first, done well.

Shape letters: R records, V words.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from math import log
from typing import NamedTuple
from warnings import catch_warnings

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MultiLabelBinarizer

from headway.records import Prediction, Record, Span
from headway.words import WORD_OR_MARK

MOST_RECORDS = 20_000  # to learn words from; more take minutes and gain little
MOST_WORDS = 50_000
STRENGTH = 10.0  # inverse of the penalty
_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|[。！？]|$)", re.DOTALL)

Predict = Callable[[Sequence[Record]], list[Prediction]]
Baseline = Callable[[Sequence[Record]], Predict]


def learn(task: str, records: Sequence[Record]) -> dict[str, Predict]:
    """The baselines that there are for these labelled records, by name."""
    return {name: baseline(records) for name, baseline in BASELINES[_kind(task, records)].items()}


def _kind(task: str, records: Sequence[Record]) -> str:
    if task == "qa":
        return "answers" if all(record.answers for record in records) else "answers or none"
    if task == "ner":
        return "entities"
    label = records[0].label
    return "several labels" if isinstance(label, tuple) else "a number" if isinstance(label, float) else "one class"


def _sample(records: Sequence[Record]) -> Sequence[Record]:
    if len(records) <= MOST_RECORDS:
        return records
    return [records[position] for position in np.random.default_rng(1).permutation(len(records))[:MOST_RECORDS]]


# --- classes and numbers


def always_commonest(records: Sequence[Record]) -> Predict:
    """The commonest class, or set of labels, for everything."""
    [(label, _)] = Counter(record.label for record in records).most_common(1)
    return lambda asked: [Prediction(label=label) for _ in asked]


def always_mean(records: Sequence[Record]) -> Predict:
    mean = float(np.mean([record.label for record in records]))
    return lambda asked: [Prediction(label=mean) for _ in asked]


def words_and_logistic(records: Sequence[Record]) -> Predict:
    """Logistic regression on the words and pairs of words of a text."""
    records = _sample(records)
    words, labels = Words(records), [record.label for record in records]
    with catch_warnings(action="ignore", category=ConvergenceWarning):  # near enough
        fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(words.weights(records), labels)

    def predict(asked: Sequence[Record]) -> list[Prediction]:
        rows = fitted.predict_proba(words.weights(asked)).tolist()
        scored = [dict(zip(fitted.classes_.tolist(), row, strict=True)) for row in rows]
        return [Prediction(label=(best := max(scores, key=scores.get)), confidence=scores[best], scores=scores) for scores in scored]

    return predict


def words_and_logistics(records: Sequence[Record]) -> Predict:
    """The same for each of several labels by itself; what every record has is said of everything."""
    records = _sample(records)
    words, to_bits = Words(records), MultiLabelBinarizer()
    bits_RC = to_bits.fit_transform([record.label for record in records])
    weights_RV, everywhere = words.weights(records), bits_RC.min(axis=0) == 1
    fitted = {
        name: None if always else LogisticRegression(C=STRENGTH, solver="liblinear").fit(weights_RV, bits_R)
        for name, always, bits_R in zip(to_bits.classes_.tolist(), everywhere, bits_RC.T, strict=True)
    }

    def predict(asked: Sequence[Record]) -> list[Prediction]:
        weights_RV = words.weights(asked)
        columns = [np.ones(len(asked)) if one is None else one.predict_proba(weights_RV)[:, 1] for one in fitted.values()]
        scored = [dict(zip(fitted, row, strict=True)) for row in np.transpose(columns).tolist()]
        return [Prediction(label=tuple(name for name in scores if scores[name] >= 0.5), scores=scores) for scores in scored]

    return predict


def words_and_ridge(records: Sequence[Record]) -> Predict:
    """Linear regression with a penalty on the words and pairs of words of a text."""
    records = _sample(records)
    words = Words(records)
    fitted = Ridge(alpha=1.0).fit(words.weights(records), [record.label for record in records])
    return lambda asked: [Prediction(label=number) for number in fitted.predict(words.weights(asked)).tolist()]


class Words:
    """How much each word, and each pair of neighbouring words, weighs in a text, or in what two texts share and differ in."""

    def __init__(self, records: Sequence[Record]):
        self._pairs = any(record.text_pair is not None for record in records)
        self._counts = TfidfVectorizer(tokenizer=_words, token_pattern=None, ngram_range=(1, 2), max_features=MOST_WORDS, sublinear_tf=True)
        texts = [text for record in records for text in (record.text, record.text_pair) if text is not None]
        self._counts.fit([*texts, "."])  # a vocabulary, also where no text has a word

    def weights(self, records: Sequence[Record]) -> csr_matrix:
        """(R, V) of texts; (R, 2 V + 1) of pairs: what both have, what one has more of, and how alike they are."""
        first_RV = self._counts.transform([record.text for record in records])
        if not self._pairs:
            return first_RV
        second_RV = self._counts.transform([record.text_pair or "" for record in records])
        shared_RV = first_RV.multiply(second_RV).tocsr()
        return hstack([shared_RV, abs(first_RV - second_RV), csr_matrix(shared_RV.sum(axis=1))]).tocsr()


def _words(text: str) -> list[str]:
    return WORD_OR_MARK.findall(text.lower())


# --- entities


def gazetteer(records: Sequence[Record]) -> Predict:
    """The entities of the training texts, found again: the longest first, each as the type it mostly has.

    Source: the baseline of Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 Shared Task, section 2.5; but what is no
    entity more often than one, such as "May", is left out, which gains 3 points of F1 there.
    """
    types: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for record in records:
        for span in record.entities or ():
            types[tuple(WORD_OR_MARK.findall(record.text[span.start : span.end]))][span.label] += 1
    known = {words: of_words.most_common(1)[0][0] for words, of_words in types.items() if words}
    longest = max(map(len, known), default=0)
    right: dict[tuple[str, ...], int] = Counter()
    for record in records:
        gold = {(span.start, span.end, span.label) for span in record.entities or ()}
        for span in _found(record.text, known, longest):
            right[tuple(WORD_OR_MARK.findall(record.text[span.start : span.end]))] += (
                1 if (span.start, span.end, span.label) in gold else -1
            )
    trusted = {words: label for words, label in known.items() if right[words] >= 0}
    return lambda asked: [Prediction(entities=tuple(_found(record.text, trusted, longest))) for record in asked]


def _found(text: str, known: dict[tuple[str, ...], str], longest: int) -> Iterator[Span]:
    places = list(WORD_OR_MARK.finditer(text))
    words = [place[0] for place in places]
    first = 0
    while first < len(words):
        ends = range(min(first + longest, len(words)), first, -1)
        end = next((end for end in ends if tuple(words[first:end]) in known), None)
        if end is not None:
            yield Span(places[first].start(), places[end - 1].end(), known[tuple(words[first:end])])
        first = first + 1 if end is None else end


# --- answers


class Sentence(NamedTuple):
    start: int
    end: int


def first_sentence(records: Sequence[Record]) -> Predict:
    return lambda asked: [_answer(record, next(iter(_sentences(record.text)), None)) for record in asked]


def nearest_sentence(records: Sequence[Record]) -> Predict:
    """The sentence that shares most words with the question; a word weighs more the rarer it is in the text.

    Source: Richardson, Burges and Renshaw 2013, MCTest (the sliding window and its word weights), here a sentence at a time.
    """

    def nearest(record: Record) -> Sentence | None:
        counts = Counter(_words(record.text))
        asked = set(_words(record.question or ""))

        def overlap(place: Sentence) -> float:
            shared = asked & set(_words(record.text[place.start : place.end]))
            return sum(log(1 + 1 / counts[word]) for word in shared)

        return max(_sentences(record.text), key=overlap, default=None)

    return lambda asked: [_answer(record, nearest(record)) for record in asked]


def never_answering(records: Sequence[Record]) -> Predict:
    return lambda asked: [Prediction(answer="") for _ in asked]


def _sentences(text: str) -> list[Sentence]:
    return [Sentence(*found.span()) for found in _SENTENCE.finditer(text)]


def _answer(record: Record, place: Sentence | None) -> Prediction:
    if place is None:
        return Prediction(answer="")
    return Prediction(answer=record.text[place.start : place.end], span=Span(*place))


BASELINES: dict[str, dict[str, Baseline]] = {
    "one class": {"majority class": always_commonest, "TF-IDF + logistic": words_and_logistic},
    "several labels": {"majority labels": always_commonest, "TF-IDF + logistic": words_and_logistics},
    "a number": {"mean": always_mean, "TF-IDF + ridge": words_and_ridge},
    "entities": {"gazetteer": gazetteer},
    "answers": {"first sentence": first_sentence, "nearest sentence": nearest_sentence},
    "answers or none": {"no answer": never_answering, "first sentence": first_sentence, "nearest sentence": nearest_sentence},
}
