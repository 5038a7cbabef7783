"""Trainings that end well by all appearances and have failed all the same: each is told in one line, with what to do."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from headway.metrics import Scores
from headway.records import Prediction, Record
from headway.wording import metric_text, score_text

BELOW = "below chance"
NO_LEARNING = "no learning"
ADDS_NOTHING = "adds nothing"  # topics of what is said
CONSTANT = ("majority class", "majority labels", "mean", "no answer")  # baselines that have learned nothing of a text
GAP = 0.2  # between the score on what was learned from and on dev
LOWER = 0.99  # times the loss before is what counts as lower
FEWEST_UPDATES = 20  # before anything can be said of a loss
NOTHING_TO_JUDGE = {"f1": "no entity is in it", "spearman": "all its numbers are the same"}  # by main metric
TRAIN_RECORDS = 200  # to score what was learned from: three points off at most, most of the time


def all_alike(records: Sequence[Record], predictions: Sequence[Prediction], *, part: str) -> str | None:
    """One answer for everything, where people give several; `part` is what the records are called."""
    said, gold = {_said(prediction) for prediction in predictions}, {_gold(record) for record in records}
    if len(said) > 1 or len(gold) < 2:
        return None
    [only] = said
    what = {
        "label": f"every record of {part} is called {json.dumps(only[1], ensure_ascii=False)}",
        "entities": f"no entity is found in {part}",
        "answer": f"no question of {part} is given an answer" if only[1] == "" else f"every question of {part} is given the same answer",
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


def below_constant(scores: Scores, baselines: Mapping[str, Scores], *, part: str) -> str | None:
    """Worse than an answer that does not look at the text."""
    value = scores.values[scores.main]
    for name in CONSTANT:
        if name in baselines and value < (reached := baselines[name].values[scores.main]):
            beside = f"{part} {metric_text(scores.main)} is {score_text(value)}, {name} for everything gets {score_text(reached)}"
            return f"{beside}: look at the labels, and at train.learning_rate"
    return None


def knows_by_heart(train: Scores, held_out: Scores, *, part: str) -> str | None:
    """Far better on what it was trained with."""
    before, after = train.values[train.main], held_out.values[held_out.main]
    if train.main != held_out.main or not (train.judged and held_out.judged) or before - after < GAP:
        return None
    both = f"{metric_text(held_out.main)} is {score_text(before)} on what it learned from and {score_text(after)} on {part}"
    return f"{both}: more labels help most, then regularize.*"


def computed(scores: Scores) -> bool:
    """Whether the main score says which of two models is better."""
    return scores.judged and math.isfinite(scores.values[scores.main])


def not_computed(scores: Scores, *, part: str) -> str | None:
    """No score to choose the best model by."""
    if computed(scores):
        return None
    why = "" if scores.judged else f", as {NOTHING_TO_JUDGE.get(scores.main, 'no label is in it')}"
    chosen = "nothing says which model is the best, and the last is kept" if part == "dev" else "nothing says how good the model is"
    return f"{part} {metric_text(scores.main)} could not be computed{why}: {chosen}"


def does_not_learn(losses: Sequence[float], *, updates_per_epoch: int) -> str | None:
    """The loss at the end of the first epoch, or of the first updates where an epoch has few, is no lower than at its beginning.

    A quarter of the updates counts as beginning and as end. None where there have not been so many updates.
    """
    first = losses[: max(updates_per_epoch, FEWEST_UPDATES)]
    if len(first) < max(updates_per_epoch, FEWEST_UPDATES):
        return None
    quarter = len(first) // 4
    before, after = fmean(first[:quarter]), fmean(first[-quarter:])
    if after < LOWER * before:
        return None
    return f"the loss was {before:.3g} and is {after:.3g} after {len(first)} updates: it does not learn; try another train.learning_rate"


def adds_nothing(losses: Sequence[float], *, updates_per_epoch: int) -> str | None:
    """A layer that was fitted beforehand may have little left to learn in its first epoch; but at the end of training the loss should be
    lower than it was at the beginning.

    A quarter of an epoch counts as beginning and as end. None where there have not been `FEWEST_UPDATES` updates.
    """
    if len(losses) < FEWEST_UPDATES:
        return None
    quarter = max(min(updates_per_epoch, len(losses)) // 4, FEWEST_UPDATES // 4)
    before, after = fmean(losses[:quarter]), fmean(losses[-quarter:])
    if after < LOWER * before:
        return None
    return (
        f"the loss of the fitted layer was {before:.3g} and is {after:.3g} after {len(losses)} updates of the network: "
        "it does not learn; try another train.learning_rate"
    )


def first_epoch_ends(step: int, *, updates_per_epoch: int) -> bool:
    """Whether `does_not_learn` can be asked now."""
    return step == max(updates_per_epoch, FEWEST_UPDATES)


def read_losses(log: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
