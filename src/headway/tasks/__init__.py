"""What Headway can be taught: the protocol of a task, and the table of those there are."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from headway.config import Config
from headway.metrics import Scores
from headway.packing import Packed
from headway.records import Prediction, Record, Window
from headway.tasks.classification import Classification
from headway.tasks.ner import EntityRecognition
from headway.tasks.qa import QuestionAnswering


class Task(Protocol):
    """What makes one kind of problem different from another. Pure: no files, no globals, no device.

    Instances are frozen dataclasses of what JSON can hold, because a saved model stores them.
    """

    name: str
    max_tokens: int  # of a window
    overlap: int  # tokens that neighbouring windows share
    precision: float | None  # wanted of what is answered; below its `least_confidence` it then abstains

    @classmethod
    def learn(cls, records: Sequence[Record], config: Config, *, limit: int) -> Self:
        """What there is to know from labelled records; `limit` is the longest window the network can read.

        Raises:
            DataError: there is nothing to learn from them.
        """

    def check(self, records: Sequence[Record]) -> None:
        """Raise DataError where a label of other records was never learned."""

    def architecture(self) -> type:
        """The transformers class with the head this task needs: the new layer."""

    def outputs(self) -> tuple[str, ...]:
        """What each output of the head stands for, in order."""

    def windows(self, records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> list[Window]:
        """Integers and targets; a long text as several windows, one behind the other."""

    def loss(self, logits: Tensor, batch: Packed) -> Tensor:
        """() the sum of the losses of all targets."""

    def divergence(self, one: Tensor, other: Tensor, batch: Packed) -> Tensor:
        """() the sum over all targets of how far two answers, as logits, are apart; 0 where they say the same, and the same both ways."""

    def tempered(self, decision: np.ndarray, temperature: float) -> np.ndarray:
        """What a decision of a teacher says, so that the mean of several teachers says what all of them do; rows as those of logits."""

    def imitation(self, logits: Tensor, batch: Packed, *, temperature: float) -> Tensor:
        """() the sum over all targets of how far an answer is from what teachers say (`batch.taught`); 0 where it says the same."""

    def decide(self, logits: Tensor, batch: Packed) -> list[np.ndarray]:
        """What is kept of the logits of each window, in fp32 on the CPU."""

    def predictions(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> list[Prediction]:
        """One prediction a record, from all of its windows."""

    def fitted(self, records: Sequence[Record], windows: Sequence[Window], decisions: Sequence[np.ndarray]) -> Self:
        """The same task with temperature, thresholds and the confidence to abstain below chosen on these labelled records."""

    def unreachable(self, records: Sequence[Record], windows: Sequence[Window]) -> int:
        """How many references no prediction can match, because no token begins or ends where they do; they are scored all the same."""

    def right(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> list[bool] | None:
        """Which predictions are right; None where they are not right or wrong as a whole."""

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
        """Predictions against what the records say."""


TASKS: dict[str, type[Task]] = {"classification": Classification, "ner": EntityRecognition, "qa": QuestionAnswering}
