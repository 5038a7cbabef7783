"""Was it worth it? What baselines score beside the model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from headway import baselines, model
from headway.events import Estimate, Said
from headway.jobs.compare import CHANCE
from headway.jobs.learning import Started, fitted_answers
from headway.jobs.run_folder import CHECKPOINTS, FITTED_HEAD
from headway.jobs.scores import overall_row
from headway.metrics import Difference, Scores, overall_differences, with_intervals
from headway.model import Model
from headway.probe import fit_head, restore_head
from headway.records import Prediction, Record
from headway.tasks import Task
from headway.wording import metric_text, p_text, score_text, signed_text

MODEL_ROW = "this model"
FROZEN_ROW = "frozen + linear"
AN_EPOCH = 3  # readings of the training windows: forward, and backward at twice the cost
PART_OF_TRAINING = 0.03  # of its time may go into reading what a layer is fitted on
FEWEST_TOKENS = 20_000  # that are read for it in any case, where there are as many


class Baseline(NamedTuple):
    said: list[Prediction]
    scores: Scores  # with their intervals


Beside = dict[str, dict[str, Baseline]]  # part -> name of the baseline


class Worth(NamedTuple):
    """How much more the model has of each score than the best of the baselines."""

    best: str
    differences: dict[str, Difference]


def score_baselines(started: Started, train: Sequence[Record], parts: Mapping[str, Sequence[Record]], folder: Path) -> Beside:
    """What each baseline scores on each part: those learned from `train`, and the frozen encoder with a linear head."""
    task = started.model.task
    learned = baselines.learn(task.name, train)
    said = {part: {name: predict(records) for name, predict in learned.items()} for part, records in parts.items()}
    for part, answers in _said_by_frozen(started, parts, folder / CHECKPOINTS / FITTED_HEAD).items():
        said[part][FROZEN_ROW] = answers
    return {
        part: {name: Baseline(answers, _scored(task, parts[part], answers)) for name, answers in of_part.items()}
        for part, of_part in said.items()
    }


def _scored(task: Task, records: Sequence[Record], said: Sequence[Prediction]) -> Scores:
    return with_intervals(task.score(records, said), [record.unit for record in records])


def weigh_worth(task: Task, records: Sequence[Record], said: Sequence[Prediction], beside: Mapping[str, Baseline]) -> Worth:
    """The model against the baseline that has most of the main score, on the same records."""
    best = max(beside, key=lambda name: beside[name].scores.values[beside[name].scores.main])
    both = task.score([*records, *records], [*beside[best].said, *said])
    return Worth(best, overall_differences(both, [record.unit for record in records]))


def _said_by_frozen(started: Started, parts: Mapping[str, Sequence[Record]], head: Path) -> dict[str, list[Prediction]]:
    if started.config.train.epochs == 0 or started.config.model.weights == "random":  # the model is no other; nothing is pretrained
        return {}
    frozen = _frozen(started, head)
    said = {}
    if "dev" in parts:
        frozen.task, said["dev"] = fitted_answers(frozen, parts["dev"], started.dev)
    if "test" in parts:
        said["test"] = [prediction for _, prediction in frozen.stream(parts["test"])]
    return said


def _frozen(started: Started, head: Path) -> Model:
    """The network before training, with the layer that training started from, or else one that is fitted now.

    That one reads the mean of a text's tokens, which says more of it than the first token does, and is fitted on no more of the training
    windows than is read in a small part of the training's time. For answers, start and end are each chosen by a linear layer from
    features of the question and the text read together; frozen, those know little of each other, which is what the row shows.
    """
    config, fitted = started.config, head.is_file()
    if not fitted:
        config = config.model_copy(
            update={
                "model": config.model.model_copy(update={"pooling": "mean"}),
                "regularize": config.regularize.model_copy(update={"reinitialized_layers": 0}),
            }
        )
    frozen = model.start(started.model.task, started.source, config, started.model.data)
    if fitted:
        restore_head(frozen, head)
    frozen.cast(config.train.precision)
    if not fitted:
        readings = AN_EPOCH * config.train.epochs * sum(map(len, started.train))
        fit_head(frozen, started.train, seed=config.train.seed, most_tokens=int(max(PART_OF_TRAINING * readings, FEWEST_TOKENS)))
    return frozen


def beside_model(scores: Mapping[str, Scores], beside: Beside) -> dict[str, dict[str, float | Estimate]]:
    """The rows of a table: the baselines on the last part, then the model there, and on the part before if there is one."""
    *earlier, last = scores
    rows = {name: overall_row(baseline.scores) for name, baseline in beside[last].items()} | {MODEL_ROW: overall_row(scores[last])}
    return rows | {f"{MODEL_ROW}, {part}": overall_row(scores[part]) for part in earlier}


def worth_json(beside: Beside, worth: Mapping[str, Worth]) -> dict:
    """As `scores.json` holds it: by part, what each baseline scores and how surely, and how much more the model has than the best."""
    return {
        "baselines": {part: {name: baseline.scores.values for name, baseline in of_part.items()} for part, of_part in beside.items()},
        "baseline_intervals": {
            part: {
                name: {metric: list(bounds) for (label, metric), bounds in baseline.scores.intervals.items() if label is None}
                for name, baseline in of_part.items()
            }
            for part, of_part in beside.items()
        },
        "worth": {
            part: {"best": found.best, "differences": {metric: more._asdict() for metric, more in found.differences.items()}}
            for part, found in worth.items()
        },
    }


def say_worth(scores: Mapping[str, Scores], beside: Beside, worth: Mapping[str, Worth]) -> Iterator[Said]:
    """One line, where the model is no better than a baseline, or where that it is may be chance."""
    part = list(scores)[-1]
    main, value, best = scores[part].main, scores[part].values[scores[part].main], worth[part].best
    if not scores[part].judged:
        return
    reached, metric, more = beside[part][best].scores.values[main], metric_text(main), worth[part].differences.get(main)
    if reached >= value:
        text = f"no: {best} reaches {score_text(reached)} on {part}, the model {score_text(value)} ({metric})"
        yield Said("worth it?", text, warning=True)
    elif more is not None and more.p >= CHANCE:
        gain = f"{score_text(value - reached)} more than {best} on {part} ({metric}, {signed_text(more.low)} to {signed_text(more.high)})"
        yield Said("worth it?", f"perhaps: {gain} may be chance, {p_text(more.p)}", warning=True)
