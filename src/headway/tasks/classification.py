"""Classes, sets of classes, or a number, for a text or a pair of texts.

Shape letters: W windows, R records, C classes (1 for a number), N tokens of a window, A targets of it (1).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from headway.config import Config
from headway.decisions import fit_least_confidence, fit_rare_threshold, fit_temperature, temper, yes_or_no
from headway.errors import DataError, did_you_mean
from headway.losses import binary_cross_entropy, binary_divergence, binary_imitation, cross_entropy, divergence, imitation
from headway.metrics import Scores, best_threshold, score_classes, score_label_sets, score_numbers
from headway.packing import Packed
from headway.records import IGNORED, Label, Prediction, Record, Window
from headway.tokens import Encoded, Layout, Template, cut, encode, lay_out, part, room_for, template

Kind = Literal["single", "multi", "number"]

MAX_TOKENS = 512  # of a window, where the network can read as much
OVERLAP_TOKENS = 64


@dataclass(frozen=True)
class Classification:
    name: ClassVar[str] = "classification"
    kind: Kind
    labels: tuple[str, ...]  # in the order of the network's outputs; one name for a number
    max_tokens: int
    overlap: int
    thresholds: tuple[float, ...] | None = None  # of each label, where there may be several
    centre: float = 0.0  # a number is learned as (number - centre) / scale
    scale: float = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: tuple[float, ...] | None = None
    temperature: float = 1.0  # of classes: how much less sure it is than the network says
    threshold: float | None = None  # of the second of two classes; None: the likelier one is said
    precision: float | None = None  # that is wanted of what is answered
    least_confidence: float = 0.0  # below, it abstains

    @classmethod
    def learn(cls, records: Sequence[Record], config: Config, *, limit: int) -> Self:
        labels = [record.label for record in records if record.label is not None]
        if not labels:
            raise DataError("no record has a label")
        kind = _kind(labels)
        max_tokens = min(limit, MAX_TOKENS) if config.windows.max_tokens == "auto" else min(limit, config.windows.max_tokens)
        overlap = OVERLAP_TOKENS if config.windows.overlap == "auto" else config.windows.overlap
        regularize = config.regularize
        smoothing, gamma = regularize.label_smoothing, regularize.focal_gamma
        task = cls(kind, ("number",), max_tokens, overlap, label_smoothing=smoothing, focal_gamma=gamma)
        if kind != "single":
            config.decide.refuse(task={"multi": "several labels", "number": "a number"}[kind])
        if kind == "number":
            regularize.refuse("class_weights", "label_smoothing", "focal_gamma", task="a number")
            return replace(task, centre=float(np.mean(labels)), scale=float(np.std(labels)) or 1.0)
        counts = Counter(name for label in labels for name in _names(label))
        names = tuple(sorted(counts, key=_natural))
        if len(names) < 2:
            raise DataError(f'every record has the label "{names[0]}"; at least two classes are needed to learn from')
        balanced = regularize.class_weights == "balanced"
        weights = _BALANCED[kind](counts, names, len(labels)) if balanced else None
        thresholds = (0.5,) * len(names) if kind == "multi" else None
        return replace(task, labels=names, thresholds=thresholds, class_weights=weights, precision=config.decide.precision)

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            for name in _names(record.label) if self.kind != "number" and record.label is not None else ():
                if name not in self.labels:
                    shown = ", ".join(self.labels[:8]) + (", ..." if len(self.labels) > 8 else "")
                    raise DataError(f'{record.where}: label "{name}" is not one of {shown}{did_you_mean(name, self.labels)}')

    def architecture(self) -> type:
        return AutoModelForSequenceClassification

    def outputs(self) -> tuple[str, ...]:
        return self.labels

    def windows(self, records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> list[Window]:
        first = encode(tokenizer, [record.text for record in records])
        second = encode(tokenizer, [record.text_pair or "" for record in records])
        around = {pair: template(tokenizer, pair=pair) for pair in {record.text_pair is not None for record in records}}
        return [
            Window(position, laid.input_ids_N, laid.token_type_ids_N, laid.offsets_N2, self._target(record.label))
            for position, record in enumerate(records)
            for laid in self._laid_out(around, first[position], None if record.text_pair is None else second[position])
        ]

    def loss(self, logits: Tensor, batch: Packed) -> Tensor:
        logits = logits.float()
        if self.kind == "number":
            return F.mse_loss(logits, batch.targets_A, reduction="sum")
        weights = None if self.class_weights is None else torch.tensor(self.class_weights, device=logits.device)
        entropy = cross_entropy if self.kind == "single" else binary_cross_entropy
        return entropy(logits, batch.targets_A, weights_C=weights, smoothing=self.label_smoothing, focal_gamma=self.focal_gamma)

    def divergence(self, one: Tensor, other: Tensor, batch: Packed) -> Tensor:
        """Of numbers the squared distance, as Liang et al. 2021, arXiv:2106.14448, have it."""
        if self.kind == "number":
            return F.mse_loss(one.float(), other.float(), reduction="sum")
        if self.kind == "multi":
            return binary_divergence(one.float(), other.float())
        return divergence(one.float(), other.float(), batch.targets_A)

    def tempered(self, decision: np.ndarray, temperature: float) -> np.ndarray:
        """Probabilities, or the number."""
        row_1C = decision[None].astype(np.float64)
        if self.kind == "number":
            return row_1C * self.scale + self.centre
        return softmax(row_1C / temperature, axis=1) if self.kind == "single" else expit(row_1C / temperature)

    def imitation(self, logits: Tensor, batch: Packed, *, temperature: float) -> Tensor:
        """Of numbers the squared distance."""
        if self.kind == "number":
            return F.mse_loss(logits.float(), (batch.taught - self.centre) / self.scale, reduction="sum")
        if self.kind == "multi":
            return binary_imitation(logits.float(), batch.taught, temperature=temperature)
        known = batch.targets_A != IGNORED
        return imitation(logits.float()[known], batch.taught[known], temperature=temperature)

    def decide(self, logits: Tensor, batch: Packed) -> list[np.ndarray]:
        return list(logits.float().cpu().numpy())

    def predictions(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[Prediction]:
        pooled_RC = self._pooled(len(records), windows, decisions)
        return _PREDICTIONS[self.kind](self, pooled_RC)

    def fitted(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> Self:
        if self.kind == "number":
            return self
        known = [position for position, record in enumerate(records) if record.label is not None]
        pooled_RC = self._pooled(len(records), windows, decisions)[known]
        return _FITTED[self.kind](self, [records[position] for position in known], pooled_RC)

    def unreachable(self, records: Sequence[Record], windows: Sequence[Window]) -> int:
        return 0

    def right(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> list[bool] | None:
        if self.kind != "single":
            return None
        return [record.label == prediction.label for record, prediction in zip(records, predictions, strict=True)]

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
        gold = [record.label for record in records]
        predicted = [prediction.label for prediction in predictions]
        if self.kind == "multi":
            return score_label_sets(gold, predicted, labels=self.labels)
        if self.kind == "number":
            return score_numbers(gold, predicted)
        return score_classes(gold, predicted, positive=self._positive())

    def _positive(self) -> str | None:
        """Of two classes the second, as scikit-learn has it for 0 and 1, and as it is for ham and spam, no and yes."""
        return self.labels[1] if len(self.labels) == 2 else None

    def _target(self, label: Label | None) -> np.ndarray:
        if self.kind == "single":
            return np.array([IGNORED if label is None else self._column[label]], dtype=np.int64)
        if self.kind == "multi":
            return np.array([[name in (label or ()) for name in self.labels]], dtype=np.float32)
        return np.array([[np.nan if label is None else (label - self.centre) / self.scale]], dtype=np.float32)

    @property
    def _column(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.labels)}

    def _laid_out(self, around: dict[bool, Template], first: Encoded, second: Encoded | None) -> Iterator[Layout]:
        parts = around[second is not None]
        yield from (lay_out(parts, a, b) for a, b in self._cut(parts, first, second))

    def _cut(self, around: Template, first: Encoded, second: Encoded | None) -> Iterator[tuple[Encoded, Encoded | None]]:
        """One text in windows, or two: the longer is cut beside the whole of the shorter, or both in step where neither is short."""
        if second is None:
            room = room_for(around, self.max_tokens)
            yield from ((part(first, *place), None) for place in cut(len(first.ids), room=room, overlap=self.overlap))
            return
        room = room_for(around, self.max_tokens)
        shorter = min(len(first.ids), len(second.ids), room // 2)
        rooms = (room - shorter, shorter) if len(first.ids) > len(second.ids) else (shorter, room - shorter)
        places = [cut(len(text.ids), room=max(space, 1), overlap=self.overlap) for text, space in zip((first, second), rooms, strict=True)]
        for step in range(max(map(len, places))):
            yield tuple(part(text, *place[min(step, len(place) - 1)]) for text, place in zip((first, second), places, strict=True))

    def _pooled(self, count: int, windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> np.ndarray:
        """(R, C): what each record's windows say in the mean, long windows counting for more; probabilities, or the number."""
        of_W = np.array([window.record for window in windows])
        weight_W1 = np.array([len(window) for window in windows], dtype=np.float64)[:, None]
        rows_WC = self._scaled(np.stack(decisions).astype(np.float64))
        total_RC = np.zeros((count, rows_WC.shape[1]))
        weights_R1 = np.zeros((count, 1))
        np.add.at(total_RC, of_W, rows_WC * weight_W1)
        np.add.at(weights_R1, of_W, weight_W1)
        return total_RC / weights_R1

    def _scaled(self, logits_WC: np.ndarray) -> np.ndarray:
        if self.kind == "single":
            return softmax(logits_WC, axis=1)
        return expit(logits_WC) if self.kind == "multi" else logits_WC * self.scale + self.centre

    def _of_one_class(self, pooled_RC: np.ndarray) -> list[Prediction]:
        return [self._one_class(*rows) for rows in zip(pooled_RC, temper(pooled_RC, self.temperature), strict=True)]

    def _one_class(self, pooled_C: np.ndarray, tempered_C: np.ndarray) -> Prediction:
        likeliest = int(pooled_C.argmax())
        chosen = likeliest if self.threshold is None else int(tempered_C[1] >= self.threshold)
        confidence = float(tempered_C[chosen])
        scores = dict(zip(self.labels, tempered_C.tolist(), strict=True))
        return Prediction(label=self.labels[chosen], confidence=confidence, scores=scores, abstained=confidence < self.least_confidence)

    def _of_several(self, pooled_RC: np.ndarray) -> list[Prediction]:
        rows = [dict(zip(self.labels, row, strict=True)) for row in self._each_tempered(pooled_RC, self.temperature).tolist()]
        least = dict(zip(self.labels, self.thresholds, strict=True))
        return [Prediction(label=tuple(name for name in row if row[name] >= least[name]), scores=row) for row in rows]

    def _of_a_number(self, pooled_RC: np.ndarray) -> list[Prediction]:
        return [Prediction(label=number) for number in pooled_RC[:, 0].tolist()]

    def _fitted_to_one_class(self, records: Sequence[Record], pooled_RC: np.ndarray) -> Self:
        """First how sure it is, then where a rare class begins, then what is left to a person: each builds on the one before."""
        gold_R = np.array([self._column[record.label] for record in records], dtype=np.int64)
        temperature = fit_temperature(pooled_RC, gold_R)
        threshold = fit_rare_threshold(temper(pooled_RC, temperature)[:, 1], gold_R == 1) if len(self.labels) == 2 else None
        fitted = replace(self, temperature=temperature, threshold=threshold, least_confidence=0.0)
        if self.precision is None:
            return fitted
        answers = fitted._of_one_class(pooled_RC)
        confidences, right = [answer.confidence for answer in answers], fitted.right(records, answers)
        return replace(fitted, least_confidence=fit_least_confidence(confidences, right, precision=self.precision))

    def _fitted_to_several(self, records: Sequence[Record], pooled_RC: np.ndarray) -> Self:
        gold_RC = np.array([[name in record.label for name in self.labels] for record in records], dtype=np.int64)
        temperature = fit_temperature(yes_or_no(pooled_RC), gold_RC.reshape(-1))
        tempered_RC = self._each_tempered(pooled_RC, temperature)
        chosen = [best_threshold(of_label_R, gold_R == 1) for of_label_R, gold_R in zip(tempered_RC.T, gold_RC.T, strict=True)]
        return replace(self, temperature=temperature, thresholds=tuple(chosen))

    def _each_tempered(self, pooled_RC: np.ndarray, temperature: float) -> np.ndarray:
        """Of labels that are there or not by themselves; a half stays a half."""
        return pooled_RC if temperature == 1.0 else temper(yes_or_no(pooled_RC), temperature)[:, 1].reshape(pooled_RC.shape)


def _kind(labels: Sequence[Label]) -> Kind:
    return "multi" if isinstance(labels[0], tuple) else "number" if isinstance(labels[0], float) else "single"


def _names(label: Label) -> tuple[str, ...]:
    return label if isinstance(label, tuple) else (label,)


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by size, before words by alphabet."""
    return (0, float(name), name) if name.isdecimal() else (1, 0.0, name)


def _balanced_classes(counts: Counter[str], names: tuple[str, ...], records: int) -> tuple[float, ...]:
    """Rare classes weigh more, so that each class weighs the same in all, and a record weighs 1 in the mean."""
    return tuple(records / (len(names) * counts[name]) for name in names)


def _balanced_labels(counts: Counter[str], names: tuple[str, ...], records: int) -> tuple[float, ...]:
    """Having a label weighs as much in all as not having it; a label that everybody has weighs 1."""
    return tuple((records - counts[name]) / counts[name] or 1.0 for name in names)


_PREDICTIONS = {
    "single": Classification._of_one_class,
    "multi": Classification._of_several,
    "number": Classification._of_a_number,
}
_FITTED = {"single": Classification._fitted_to_one_class, "multi": Classification._fitted_to_several}
_BALANCED = {"single": _balanced_classes, "multi": _balanced_labels}
