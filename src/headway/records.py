"""What flows through the building: a record is read, cut into windows, and answered by a prediction.

Positions count characters of `Record.text`, as Python counts them, from 0 and without the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np

IGNORED = -100  # a target that no loss sees; the value torch's cross entropy leaves out by default


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text: an entity of type `label`, or an answer, which has none."""

    start: int
    end: int
    label: str = ""
    confidence: float | None = None  # 0 to 1; None where a person drew the span


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Those that lie in no other, in order: one tag a word can tell no more. Of two that cover the same, the first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


Label = str | float | tuple[str, ...]  # one class, a number (regression), or any number of classes


@dataclass(frozen=True, slots=True)
class Record:
    """One example. Of `label`, `entities` and `answers` only the field of its task is filled, and none where nobody has labelled it.

    `answers` holds every accepted answer; an empty tuple says that the text does not answer the question.
    """

    text: str
    text_pair: str | None = None  # the second text of a pair
    question: str | None = None
    label: Label | None = None
    entities: tuple[Span, ...] | None = None
    answers: tuple[Span, ...] | None = None
    id: str = ""
    group: str = ""  # the document or article it is from: records of one group are never split apart
    where: str = ""  # "reviews.csv:418", for messages

    @property
    def unit(self) -> str:
        """Records of one unit are one piece of evidence: those of a group, or questions about one text. "" where it is alone."""
        return self.group or ("" if self.question is None else self.text)

    def unlabelled(self) -> "Record":
        """The same without what people say of it."""
        return replace(self, label=None, entities=None, answers=None)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one record, in the fields of its task."""

    label: Label | None = None
    entities: tuple[Span, ...] | None = None
    answer: str | None = None  # "" says that the text does not answer the question
    span: Span | None = None  # where the answer stands
    confidence: float | None = None  # 0 to 1
    scores: dict[str, float] | None = None  # class -> probability
    abstained: bool = False  # whether it is too unsure to be acted on; what it says is said all the same

    def __repr__(self) -> str:
        """Only what is filled; the scores of all classes would bury the answer."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scores"}
        filled = ", ".join(f"{name}={_brief(value)}" for name, value in shown.items() if value is not None and value is not False)
        return f"Prediction({filled})"


def _brief(value) -> str:
    return f"{value:.2f}" if isinstance(value, float) else repr(value)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A piece of one record that the network reads at once, as integers.

    Shape letters: N tokens in the window, A targets of it (1 for a sentence, N for tokens).
    """

    record: int  # position of its record in the list it was cut from
    input_ids_N: np.ndarray  # int32
    token_type_ids_N: np.ndarray  # int32, 0 for the first text and 1 for the second
    offsets_N2: np.ndarray  # int32, the characters each token covers; (0, 0) where it covers none of `Record.text`
    targets_A: np.ndarray  # first axis A; what the other axes and the dtype are is the task's own affair
    units: np.ndarray | None = None  # int32, task-specific: which tokens carry a decision
    taught: np.ndarray | None = None  # float32, what teachers say: first axis 1 for a sentence, N for tokens

    def __len__(self) -> int:
        return len(self.input_ids_N)
