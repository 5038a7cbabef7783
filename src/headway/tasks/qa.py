"""The passage of a text that answers a question, or that there is none.

Shape letters: N tokens of a window, T tokens in a batch, S windows in a batch, M places an answer may end at.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import log_softmax, softmax
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedTokenizerBase

from headway.config import Config
from headway.decisions import fit_choice_temperature, fit_least_confidence
from headway.errors import DataError
from headway.losses import cross_entropy, divergence, imitation
from headway.metrics import Scores, answer_em, answer_f1, best_no_answer_threshold, score_answers
from headway.packing import Packed
from headway.records import Prediction, Record, Span, Window
from headway.tokens import Encoded, cut, encode, lay_out, part, room_for, template

MAX_TOKENS = 384  # of a window, where the network can read as much; with the overlap as in Devlin et al. 2019, BERT
OVERLAP_TOKENS = 128
LONGEST_ANSWER_TOKENS = 30


class Candidate(NamedTuple):
    """The best passage of a window, against saying that it holds no answer."""

    start: int  # characters of the text
    end: int
    score: float  # logits, comparable between windows
    no_answer: float
    log_probability: float  # of the passage in its window
    no_answer_log_probability: float


@dataclass(frozen=True)
class QuestionAnswering:
    name: ClassVar[str] = "qa"
    max_tokens: int
    overlap: int
    longest_answer_tokens: int = LONGEST_ANSWER_TOKENS
    no_answer_threshold: float | None = None  # None: there always is one
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    temperature: float = 1.0  # of where an answer starts and ends: how much less sure it is than the network says
    precision: float | None = None  # that is wanted of what is answered
    least_confidence: float = 0.0  # below, it abstains

    @classmethod
    def learn(cls, records: Sequence[Record], config: Config, *, limit: int) -> Self:
        labelled = [record.answers for record in records if record.answers is not None]
        if not any(labelled):
            raise DataError("no question has an answer")
        config.regularize.refuse("class_weights", task=cls.name)
        max_tokens = min(limit, MAX_TOKENS) if config.windows.max_tokens == "auto" else min(limit, config.windows.max_tokens)
        overlap = OVERLAP_TOKENS if config.windows.overlap == "auto" else config.windows.overlap
        threshold = None if all(labelled) else 0.0
        learned = cls(max_tokens, overlap, no_answer_threshold=threshold, precision=config.decide.precision)
        return replace(learned, label_smoothing=config.regularize.label_smoothing, focal_gamma=config.regularize.focal_gamma)

    def check(self, records: Sequence[Record]) -> None:
        """Any answer may be asked for."""

    def architecture(self) -> type:
        return AutoModelForQuestionAnswering

    def outputs(self) -> tuple[str, ...]:
        return ("start", "end")

    def windows(self, records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> list[Window]:
        around = template(tokenizer, pair=True)
        questions = encode(tokenizer, [record.question or "" for record in records])
        contexts = self._contexts(records, tokenizer)
        windows = []
        for position, (record, whole) in enumerate(zip(records, questions, strict=True)):
            context = contexts[record.text]
            question = self._whole(record, whole)
            room = room_for(around, self.max_tokens, beside=len(question.ids))
            for start, end in cut(len(context.ids), room=room, overlap=self.overlap):
                laid = lay_out(around, question, part(context, start, end), of=1)
                target = _target(record, laid.offsets_N2)
                windows.append(Window(position, laid.input_ids_N, laid.token_type_ids_N, laid.offsets_N2, target))
        return windows

    def loss(self, logits: Tensor, batch: Packed) -> Tensor:
        """The start and the end are each one choice among all tokens of their window."""
        losses = [
            cross_entropy(logits_N2.T, target_2, smoothing=self.label_smoothing, focal_gamma=self.focal_gamma)
            for logits_N2, target_2 in zip(logits.float().split(batch.lengths), batch.targets_A, strict=True)
        ]
        return torch.stack(losses).sum()

    def divergence(self, one: Tensor, other: Tensor, batch: Packed) -> Tensor:
        splits = (logits.float().split(batch.lengths) for logits in (one, other))
        parts = zip(*splits, batch.targets_A, strict=True)
        return torch.stack([divergence(one_N2.T, other_N2.T, target_2) for one_N2, other_N2, target_2 in parts]).sum()

    def tempered(self, decision: np.ndarray, temperature: float) -> np.ndarray:
        """Of each of the two choices, where among the tokens."""
        return softmax(decision / temperature, axis=0)

    def imitation(self, logits: Tensor, batch: Packed, *, temperature: float) -> Tensor:
        parts = zip(logits.float().split(batch.lengths), batch.taught.split(batch.lengths), strict=True)
        return torch.stack([imitation(said_N2.T, taught_N2.T, temperature=temperature) for said_N2, taught_N2 in parts]).sum()

    def decide(self, logits: Tensor, batch: Packed) -> list[np.ndarray]:
        return [rows.numpy() for rows in logits.float().cpu().split(batch.lengths)]

    def predictions(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[Prediction]:
        found = self._candidates(windows, decisions)
        return [self._prediction(record, candidates) for record, candidates in zip(records, found, strict=True)]

    def fitted(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> Self:
        warm = replace(self, temperature=_fitted_temperature(records, windows, decisions))
        if self.no_answer_threshold is None and self.precision is None:
            return warm
        found = warm._candidates(windows, decisions)
        fitted = replace(warm, no_answer_threshold=self._fitted_threshold(records, found), least_confidence=0.0)
        if self.precision is None:
            return fitted
        answers = [fitted._prediction(record, candidates) for record, candidates in zip(records, found, strict=True)]
        confidences, right = [answer.confidence for answer in answers], fitted.right(records, answers)
        return replace(fitted, least_confidence=fit_least_confidence(confidences, right, precision=self.precision))

    def unreachable(self, records: Sequence[Record], windows: Sequence[Window]) -> int:
        reached: set[int] = set()
        for window in windows:
            record = records[window.record]
            start, end = window.targets_A[0]
            spans = {_tight(record.text, answer) for answer in record.answers or ()}
            if not spans or (int(window.offsets_N2[start, 0]), int(window.offsets_N2[end, 1])) in spans:
                reached.add(window.record)
        return len(records) - len(reached)

    def right(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> list[bool]:
        """By exact match."""
        return [answer_em(_texts(record), prediction.answer) == 1.0 for record, prediction in zip(records, predictions, strict=True)]

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
        return score_answers([_texts(record) for record in records], [prediction.answer for prediction in predictions])

    def _contexts(self, records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> dict[str, Encoded]:
        """Every different text once: a paragraph has many questions."""
        texts = list(dict.fromkeys(record.text for record in records))
        return dict(zip(texts, encode(tokenizer, texts), strict=True))

    def _whole(self, record: Record, question: Encoded) -> Encoded:
        if len(question.ids) > self.max_tokens // 2:
            raise DataError(
                f"{record.where}: a question of {len(question.ids)} tokens; at most {self.max_tokens // 2} fit beside the text: "
                "shorten it, or raise windows.max_tokens before training"
            )
        return question

    def _candidates(self, windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[list[Candidate]]:
        """The best passage of every window, by record."""
        pairs = groupby(zip(windows, decisions, strict=True), key=lambda pair: pair[0].record)
        return [
            [_candidate(window, logits, self.longest_answer_tokens, self.temperature) for window, logits in of_record]
            for _, of_record in pairs
        ]

    def _fitted_threshold(self, records: Sequence[Record], found: list[list[Candidate]]) -> float | None:
        if self.no_answer_threshold is None:
            return None
        f1 = [
            answer_f1(_texts(record), record.text[best.start : best.end]) if record.answers else 0.0
            for record, best in zip(records, map(_best, found), strict=True)
        ]
        return best_no_answer_threshold([_margin(of_record) for of_record in found], f1, [bool(record.answers) for record in records])

    def _prediction(self, record: Record, found: list[Candidate]) -> Prediction:
        best = _best(found)
        silent = self.no_answer_threshold is not None and _margin(found) > self.no_answer_threshold
        sure = min(c.no_answer_log_probability for c in found) if silent else best.log_probability
        confidence = float(np.exp(sure))
        answer, span = ("", None) if silent else (record.text[best.start : best.end], Span(best.start, best.end))
        return Prediction(answer=answer, span=span, confidence=confidence, abstained=confidence < self.least_confidence)


def _texts(record: Record) -> list[str]:
    return [record.text[answer.start : answer.end] for answer in record.answers or ()]


def _best(found: list[Candidate]) -> Candidate:
    return max(found, key=lambda candidate: candidate.score)


def _margin(found: list[Candidate]) -> float:
    """How much better "no answer" is than the best passage: it must win in every window."""
    return min(candidate.no_answer for candidate in found) - _best(found).score


def _target(record: Record, offsets_N2: np.ndarray) -> np.ndarray:
    """(1, 2): the tokens that hold the start and the end of the answer, or the first token twice where the window does not hold it.

    Of several answers the one that most people gave, then the first.
    """
    if not record.answers:
        return np.zeros((1, 2), dtype=np.int64)
    (start, end), _ = Counter(_tight(record.text, answer) for answer in record.answers).most_common(1)[0]
    tokens = np.flatnonzero((offsets_N2[:, 0] < end) & (offsets_N2[:, 1] > start))
    whole = len(tokens) and offsets_N2[tokens[0], 0] <= start and offsets_N2[tokens[-1], 1] >= end
    return np.array([[tokens[0], tokens[-1]] if whole else [0, 0]], dtype=np.int64)


def _tight(text: str, answer: Span) -> tuple[int, int]:
    """Start and end of an answer without the white space around it, which no token covers."""
    marked = text[answer.start : answer.end]
    start = answer.start + len(marked) - len(marked.lstrip())
    return start, start + len(marked.strip())


def _fitted_temperature(records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> float:
    """Of the start and the end, each a choice among the tokens of a window."""
    known = [(w.targets_A[0], logits) for w, logits in zip(windows, decisions, strict=True) if records[w.record].answers is not None]
    if not known:
        return 1.0
    targets_S2, logits_T2 = np.stack([target for target, _ in known]), np.concatenate([logits for _, logits in known])
    starts_S = np.cumsum([0, *(len(logits) for _, logits in known[:-1])])
    both_S2 = starts_S[:, None] + [0, len(logits_T2)]  # where all ends lie behind all starts
    return fit_choice_temperature(logits_T2.T.astype(np.float64).ravel(), both_S2.T.ravel(), (both_S2 + targets_S2).T.ravel())


def _candidate(window: Window, logits_N2: np.ndarray, longest: int, temperature: float = 1.0) -> Candidate:
    """The passage of at most `longest` tokens whose start and end have the highest sum of logits."""
    start_N, end_N = logits_N2.astype(np.float64).T
    of_text = window.offsets_N2[:, 1] > window.offsets_N2[:, 0]
    starts_N, ends_N = np.where(of_text, start_N, -np.inf), np.where(of_text, end_N, -np.inf)
    reach_NM = sliding_window_view(np.concatenate([ends_N, np.full(longest - 1, -np.inf)]), longest)
    sums_N = starts_N + reach_NM.max(axis=1)
    first = int(sums_N.argmax())
    last = first + int(reach_NM[first].argmax())
    log_start_N, log_end_N = log_softmax(start_N / temperature), log_softmax(end_N / temperature)
    return Candidate(
        start=int(window.offsets_N2[first, 0]),
        end=int(window.offsets_N2[last, 1]),
        score=float(sums_N[first]),
        no_answer=float(start_N[0] + end_N[0]),
        log_probability=float(log_start_N[first] + log_end_N[last]),
        no_answer_log_probability=float(log_start_N[0] + log_end_N[0]),
    )
