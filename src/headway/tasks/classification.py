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
from headway.errors import DataError, did_you_mean
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
    class_weights: tuple[float, ...] | None = None

    @classmethod
    def learn(cls, records: Sequence[Record], config: Config, *, limit: int) -> Self:
        labels = [record.label for record in records if record.label is not None]
        if not labels:
            raise DataError("no record has a label")
        kind = _kind(labels)
        max_tokens = min(limit, MAX_TOKENS) if config.windows.max_tokens == "auto" else min(limit, config.windows.max_tokens)
        overlap = OVERLAP_TOKENS if config.windows.overlap == "auto" else config.windows.overlap
        task = cls(kind, ("number",), max_tokens, overlap, label_smoothing=config.regularize.label_smoothing)
        if kind == "number":
            config.regularize.refuse("class_weights", "label_smoothing", task="a number")
            return replace(task, centre=float(np.mean(labels)), scale=float(np.std(labels)) or 1.0)
        counts = Counter(name for label in labels for name in _names(label))
        names = tuple(sorted(counts, key=_natural))
        if len(names) < 2:
            raise DataError(f'every record has the label "{names[0]}"; at least two classes are needed to learn from')
        balanced = config.regularize.class_weights == "balanced"
        weights = _BALANCED[kind](counts, names, len(labels)) if balanced else None
        thresholds = (0.5,) * len(names) if kind == "multi" else None
        return replace(task, labels=names, thresholds=thresholds, class_weights=weights)

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
        if self.kind == "single":
            weights = None if self.class_weights is None else torch.tensor(self.class_weights, device=logits.device)
            return F.cross_entropy(
                logits, batch.targets_A, weight=weights, ignore_index=IGNORED, label_smoothing=self.label_smoothing, reduction="sum"
            )
        if self.kind == "multi":
            target = batch.targets_A * (1 - self.label_smoothing) + self.label_smoothing / 2
            weights = None if self.class_weights is None else torch.tensor(self.class_weights, device=logits.device)
            return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="sum")
        return F.mse_loss(logits, batch.targets_A, reduction="sum")

    def decide(self, logits: Tensor, batch: Packed) -> list[np.ndarray]:
        return list(logits.float().cpu().numpy())

    def predictions(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[Prediction]:
        return [self._prediction(row) for row in self._pooled(len(records), windows, decisions)]

    def fitted(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> Self:
        if self.kind != "multi":
            return self
        labelled = [(record.label, row) for record, row in zip(records, self._pooled(len(records), windows, decisions), strict=True)]
        known = [(label, row) for label, row in labelled if label is not None]
        chosen = [
            best_threshold([row[column] for _, row in known], [name in label for label, _ in known])
            for column, name in enumerate(self.labels)
        ]
        return replace(self, thresholds=tuple(chosen))

    def unreachable(self, records: Sequence[Record], windows: Sequence[Window]) -> int:
        return 0

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

    def _prediction(self, row_C: np.ndarray) -> Prediction:
        if self.kind == "number":
            return Prediction(label=float(row_C[0]))
        scores = dict(zip(self.labels, row_C.tolist(), strict=True))
        if self.kind == "multi":
            chosen = tuple(name for name, threshold in zip(self.labels, self.thresholds, strict=True) if scores[name] >= threshold)
            return Prediction(label=chosen, scores=scores)
        best = self.labels[int(row_C.argmax())]
        return Prediction(label=best, confidence=scores[best], scores=scores)


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


_BALANCED = {"single": _balanced_classes, "multi": _balanced_labels}
