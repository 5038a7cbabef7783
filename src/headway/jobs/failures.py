"""Trainings that end well by all appearances and have failed all the same: each is told in one line, with what to do."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from headway.metrics import Scores
from headway.records import Prediction, Record

CONSTANT = ("majority class", "majority labels", "mean", "no answer")  # baselines that have learned nothing of a text
GAP = 0.2  # between the score on what was learned from and on dev
LOWER = 0.99  # times the loss before is what counts as lower
FEWEST_UPDATES = 20  # before anything can be said of a loss
TRAIN_RECORDS = 200  # to score what was learned from: three points off at most, most of the time


def all_alike(records: Sequence[Record], predictions: Sequence[Prediction]) -> str | None:
    """One answer for everything, where people give several."""
    said, gold = {_said(prediction) for prediction in predictions}, {_gold(record) for record in records}
    if len(said) > 1 or len(gold) < 2:
        return None
    [only] = said
    what = {
        "label": f"every record of dev is called {json.dumps(only[1], ensure_ascii=False)}",
        "entities": "no entity is found in dev",
        "answer": "no question of dev is given an answer" if only[1] == "" else "every question of dev is given the same answer",
    }[only[0]]
    return f"{what}: it has learned nothing; more train.epochs, or another train.learning_rate"


def _said(prediction: Prediction) -> tuple:
    if prediction.label is not None:
        return "label", prediction.label
    if prediction.entities is not None:
        return "entities", tuple((span.start, span.end, span.label) for span in prediction.entities)
    return "answer", prediction.answer


def _gold(record: Record) -> tuple:
    return record.label, record.entities, record.answers and record.text[record.answers[0].start : record.answers[0].end]


def below_constant(scores: Scores, baselines: dict[str, Scores]) -> str | None:
    """Worse on dev than an answer that does not look at the text."""
    value = scores.values[scores.main]
    for name in CONSTANT:
        if name in baselines and value < (reached := baselines[name].values[scores.main]):
            metric = scores.main.replace("_", " ")
            return f"dev {metric} is {value:.3f}, {name} for everything gets {reached:.3f}: look at the labels, and at train.learning_rate"
    return None


def knows_by_heart(train: Scores, dev: Scores) -> str | None:
    """Far better on what it was trained with."""
    before, after = train.values[train.main], dev.values[dev.main]
    if train.main != dev.main or before - after < GAP:
        return None
    metric = dev.main.replace("_", " ")
    return f"{metric} is {before:.3f} on what it learned from and {after:.3f} on dev: more labels help most, then regularize.*"


def not_a_number(scores: Scores) -> str | None:
    """No score to choose the best model by."""
    if math.isfinite(scores.values[scores.main]):
        return None
    return f"dev {scores.main.replace('_', ' ')} could not be computed: nothing says which model is the best, and the last is kept"


def does_not_learn(losses: Sequence[float], *, updates_per_epoch: int) -> str | None:
    """The loss at the end of the first epoch, or of the first updates where an epoch has few, is no lower than at its beginning.

    A quarter of the updates counts as beginning and as end.
    """
    first = losses[: max(updates_per_epoch, FEWEST_UPDATES)]
    quarter = len(first) // 4
    before, after = fmean(first[:quarter]), fmean(first[-quarter:])
    if after < LOWER * before:
        return None
    return f"the loss was {before:.3g} and is {after:.3g} after {len(first)} updates: it does not learn; try another train.learning_rate"


def first_epoch_ends(step: int, *, updates_per_epoch: int) -> bool:
    """Whether `does_not_learn` can be asked now."""
    return step == max(updates_per_epoch, FEWEST_UPDATES)


def read_losses(log: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
