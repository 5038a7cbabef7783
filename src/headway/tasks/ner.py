"""Entities in a text.

A unit is the smallest thing that can be, or be part of, an entity: a word between white space without the signs at its ends ("words"), or
what the tokenizer makes of it, cut where letters and signs meet ("parts"), where people have marked entities that end inside such words.
Units are found in the raw text, never in somebody's word list, so that training and use see the same.

Shape letters: N tokens of a window, U units of a window or a record, C tags.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import ClassVar, Literal, Self

import numpy as np
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

from headway.config import Config
from headway.decisions import fit_temperature
from headway.errors import DataError, did_you_mean
from headway.losses import cross_entropy, divergence, imitation
from headway.metrics import Scores, score_spans
from headway.packing import Packed
from headway.records import IGNORED, Prediction, Record, Span, Window, outermost
from headway.tokens import Encoded, Layout, cut, encode, is_mark, lay_out, owners, part, room_for, template

MAX_TOKENS = 512  # of a window, where the network can read as much
OVERLAP_TOKENS = 128
OUTSIDE = "O"
WHOLE_WORDS = 0.995  # the share of entities that must begin and end with words for words to be the units

Units = Literal["words", "parts"]


@dataclass(frozen=True)
class EntityRecognition:
    name: ClassVar[str] = "ner"
    precision: ClassVar[None] = None  # it answers everything
    types: tuple[str, ...]
    max_tokens: int
    overlap: int
    units: Units = "words"
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    temperature: float = 1.0  # of tags: how much less sure it is than the network says

    @classmethod
    def learn(cls, records: Sequence[Record], config: Config, *, limit: int) -> Self:
        types = tuple(sorted({span.label for record in records for span in record.entities or ()}))
        if not types:
            raise DataError("no entity is marked in any record")
        config.regularize.refuse("class_weights", task=cls.name)
        config.decide.refuse(task=cls.name)
        max_tokens = min(limit, MAX_TOKENS) if config.windows.max_tokens == "auto" else min(limit, config.windows.max_tokens)
        overlap = OVERLAP_TOKENS if config.windows.overlap == "auto" else config.windows.overlap
        smoothing, gamma = config.regularize.label_smoothing, config.regularize.focal_gamma
        return cls(types, max_tokens, overlap, _choose_units(records), label_smoothing=smoothing, focal_gamma=gamma)

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            for span in record.entities or ():
                if span.label not in self.types:
                    hint = did_you_mean(span.label, self.types)
                    raise DataError(f'{record.where}: entity type "{span.label}" is not one of {", ".join(self.types)}{hint}')

    def architecture(self) -> type:
        return AutoModelForTokenClassification

    def outputs(self) -> tuple[str, ...]:
        return (OUTSIDE, *(prefix + name for name in self.types for prefix in ("B-", "I-")))

    def windows(self, records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> list[Window]:
        around = template(tokenizer, pair=False)
        room = room_for(around, self.max_tokens)
        texts = encode(tokenizer, [record.text for record in records])
        windows = []
        for position, (record, text) in enumerate(zip(records, texts, strict=True)):
            units_U3 = _units(record.text, text, self.units)
            tags_U = self._tags(record, units_U3)
            places = cut(len(text.ids), room=room, overlap=self.overlap)
            for (start, end), (own_start, own_end) in zip(places, owners(places), strict=True):
                owned_U = (units_U3[:, 0] >= own_start) & (units_U3[:, 0] < own_end)
                shift = np.array([len(around.before) - start, 0, 0], dtype=np.int32)
                laid = lay_out(around, part(text, start, end))
                window = _window(position, laid, units_U3[owned_U] + shift, tags_U[owned_U])
                windows.append(window)
        return windows

    def loss(self, logits: Tensor, batch: Packed) -> Tensor:
        return cross_entropy(logits.float(), batch.targets_A, smoothing=self.label_smoothing, focal_gamma=self.focal_gamma)

    def divergence(self, one: Tensor, other: Tensor, batch: Packed) -> Tensor:
        return divergence(one.float(), other.float(), batch.targets_A)

    def tempered(self, decision: np.ndarray, temperature: float) -> np.ndarray:
        return softmax(decision / temperature, axis=1)

    def imitation(self, logits: Tensor, batch: Packed, *, temperature: float) -> Tensor:
        known = batch.targets_A != IGNORED
        return imitation(logits.float()[known], batch.taught[known], temperature=temperature)

    def decide(self, logits: Tensor, batch: Packed) -> list[np.ndarray]:
        return [rows.numpy() for rows in F.log_softmax(logits.float(), dim=-1).cpu().split(batch.lengths)]

    def predictions(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[Prediction]:
        found = [Prediction(entities=()) for _ in records]
        for position, of_record in groupby(zip(windows, decisions, strict=True), key=lambda pair: pair[0].record):
            pairs = list(of_record)
            units_U3 = np.concatenate([window.units for window, _ in pairs])
            if len(units_U3):
                scores_UC = np.concatenate([decision[window.units[:, 0]] for window, decision in pairs])
                surely_UC = log_softmax(scores_UC / self.temperature, axis=1)
                found[position] = Prediction(entities=tuple(self._spans(units_U3, best_legal(scores_UC), surely_UC)))
        return found

    def fitted(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> Self:
        tags_U = np.concatenate([window.targets_A[window.units[:, 0]] for window in windows])
        scores_UC = np.concatenate([decision[window.units[:, 0]] for window, decision in zip(windows, decisions, strict=True)])
        known = tags_U != IGNORED
        return replace(self, temperature=fit_temperature(softmax(scores_UC[known].astype(np.float64), axis=1), tags_U[known]))

    def unreachable(self, records: Sequence[Record], windows: Sequence[Window]) -> int:
        perfect = [np.eye(len(self.outputs()))[np.maximum(window.targets_A, 0)] for window in windows]
        reached = self.predictions(records, windows, [np.log(decision + 1e-9) for decision in perfect])
        return sum(
            len({(s.start, s.end, s.label) for s in record.entities or ()} - {(s.start, s.end, s.label) for s in answer.entities})
            for record, answer in zip(records, reached, strict=True)
        )

    def right(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> None:
        """Each entity is right or wrong by itself."""

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
        return score_spans([record.entities for record in records], [prediction.entities for prediction in predictions])

    def _tags(self, record: Record, units_U3: np.ndarray) -> np.ndarray:
        """tags_U: what the network should say of every unit; the first unit that an entity touches begins it."""
        if record.entities is None:
            return np.full(len(units_U3), IGNORED, dtype=np.int64)
        tags_U = np.zeros(len(units_U3), dtype=np.int64)
        for span in outermost(record.entities):
            touched = np.flatnonzero((units_U3[:, 1] < span.end) & (units_U3[:, 2] > span.start))
            begin = 1 + 2 * self.types.index(span.label)
            tags_U[touched] = begin + 1
            tags_U[touched[:1]] = begin
        return tags_U

    def _spans(self, units_U3: np.ndarray, tags: Sequence[int], scores_UC: np.ndarray) -> list[Span]:
        """Runs of a begin tag and the inside tags behind it, as spans; confident as its tags are in the geometric mean."""
        spans = []
        for start, tag in enumerate(tags):
            if tag % 2 == 1:
                end = start + 1
                while end < len(tags) and tags[end] == tag + 1:
                    end += 1
                surely = float(np.exp(np.mean([scores_UC[unit, tags[unit]] for unit in range(start, end)])))
                spans.append(Span(int(units_U3[start, 1]), int(units_U3[end - 1, 2]), self.types[tag // 2], min(surely, 1.0)))
        return spans


def _window(record: int, laid: Layout, units_U3: np.ndarray, tags_U: np.ndarray) -> Window:
    """A tag is learned at the first token of its unit, and nothing at all other tokens."""
    targets = np.full(len(laid.input_ids_N), IGNORED, dtype=np.int64)
    targets[units_U3[:, 0]] = tags_U
    return Window(record, laid.input_ids_N, laid.token_type_ids_N, laid.offsets_N2, targets, units_U3)


def _choose_units(records: Sequence[Record]) -> Units:
    """Words, where nearly all entities begin and end with them: fewer decisions, and each about something that has a meaning."""
    marked, whole = 0, 0
    for record in records:
        words = _words(record.text) if record.entities else ()
        for span in record.entities or ():
            marked += 1
            whole += not any(start < edge < end for start, end in words for edge in (span.start, span.end))
    return "words" if whole >= WHOLE_WORDS * marked else "parts"


def _words(text: str) -> list[tuple[int, int]]:
    """Start and end of what stands between white space, the signs at either end by themselves."""
    return [(found.start(), _behind_marks(text, found.end())) for found in _WORD.finditer(text)]


def _behind_marks(text: str, end: int) -> int:
    """A vowel sign or an accent at the end of a word belongs to it."""
    while is_mark(text[end : end + 1]):
        end += 1
    return end


# From a letter or digit to the last one before the next white space, with what makes it a name ("@ada", "#paris") or the end of a word
# that stands alone ("'s"); or the same sign several times.
_WORD = re.compile(r"(?:[@#]|['’](?=[^\W\d_]{1,2}\b))?[^\W_](?:\S*[^\W_])?|([^\w\s]|_)\1*")


def _units(text: str, tokens: Encoded, kind: Units) -> np.ndarray:
    """units_U3: the first token of every unit, and its first and last character (without)."""
    word_of = np.full(len(text) + 1, -1)  # the number of the word that each character is in; -1 outside of words
    for number, (start, end) in enumerate(_words(text) if kind == "words" else ()):
        word_of[start:end] = number
    empty = tokens.offsets[:, 0] == tokens.offsets[:, 1]
    starts = [i for i in range(len(tokens.ids)) if not empty[i] and _starts_unit(text, tokens, i, word_of)]
    last = np.where(empty, 0, tokens.offsets[:, 1])  # a token of white space alone is no part of the unit before it
    rows = [(first, tokens.offsets[first, 0], last[first:end].max()) for first, end in pairwise([*starts, len(tokens.ids)])]
    return np.array(rows, dtype=np.int32).reshape(-1, 3)


def _starts_unit(text: str, tokens: Encoded, i: int, word_of: np.ndarray) -> bool:
    here = int(tokens.offsets[i, 0])
    if i == 0 or here == 0:
        return i == 0 or tokens.offsets[i - 1, 1] == 0
    if here < tokens.offsets[i - 1, 1]:  # both are of one character: bytes of it, or what it was normalised to
        return False
    if word_of[here] >= 0 and word_of[here] == word_of[here - 1] and not _UNSPACED.match(text[here]):
        return False
    return bool(tokens.words[i] != tokens.words[i - 1]) or not (_joins(text[here - 1]) and _joins(text[here]))


def _joins(character: str) -> bool:
    """Whether a character grows together with its neighbours into a word: letters, marks and digits of scripts that set spaces."""
    return unicodedata.category(character)[0] in "LMN" and not _UNSPACED.match(character)


# Thai, Lao, Myanmar, Khmer, and all Chinese, Japanese kana and bopomofo: written without spaces between words
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u31bf\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def best_legal(scores_UC: np.ndarray) -> np.ndarray:
    """tags_U: the best-scoring sequence of tags in which every inside tag follows a begin or inside tag of its type.

    Tags are 0 outside, then begin and inside of each type. Source: Viterbi 1967, IEEE Transactions on Information Theory 13(2).
    """
    greedy = scores_UC.argmax(axis=1)
    if _legal(greedy):
        return greedy
    allowed_CC = _transitions(scores_UC.shape[1])
    total_C = np.where(np.arange(scores_UC.shape[1]) % 2 == 1, scores_UC[0], -np.inf)
    total_C[0] = scores_UC[0, 0]
    came_from = []
    for scores_C in scores_UC[1:]:
        paths_CC = np.where(allowed_CC, total_C[:, None], -np.inf)
        came_from.append(paths_CC.argmax(axis=0))
        total_C = paths_CC.max(axis=0) + scores_C
    tags = [int(total_C.argmax())]
    for previous in reversed(came_from):
        tags.append(int(previous[tags[-1]]))
    return np.array(tags[::-1])


def _legal(tags_U: np.ndarray) -> bool:
    before = np.concatenate([[0], tags_U[:-1]])
    inside = (tags_U > 0) & (tags_U % 2 == 0)
    return bool(np.all(~inside | (before == tags_U) | (before == tags_U - 1)))


def _transitions(tags: int) -> np.ndarray:
    """allowed_CC: whether the tag of a column may follow the tag of a row."""
    before, after = np.arange(tags)[:, None], np.arange(tags)[None, :]
    inside = (after > 0) & (after % 2 == 0)
    return ~inside | (before == after) | (before == after - 1)
