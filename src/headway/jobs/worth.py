"""Was it worth it? What baselines score beside the model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from headway import baselines, model
from headway.events import Estimate, Said
from headway.jobs.learning import Started, fitted_answers
from headway.jobs.run_folder import CHECKPOINTS, FITTED_HEAD
from headway.jobs.scores import overall_row
from headway.metrics import Scores
from headway.model import Model
from headway.probe import fit_head, restore_head
from headway.records import Record

MODEL_ROW = "this model"
FROZEN_ROW = "frozen + linear"
AN_EPOCH = 3  # readings of the training windows: forward, and backward at twice the cost
PART_OF_TRAINING = 0.03  # of its time may go into reading what a layer is fitted on
FEWEST_TOKENS = 20_000  # that are read for it in any case, where there are as many

Beside = dict[str, dict[str, Scores]]  # part -> name of the baseline -> its scores


def score_baselines(started: Started, train: Sequence[Record], parts: Mapping[str, Sequence[Record]], folder: Path) -> Beside:
    """What each baseline scores on each part: those learned from `train`, and the frozen encoder with a linear head."""
    task = started.model.task
    learned = baselines.learn(task.name, train)
    beside = {part: {name: task.score(records, predict(records)) for name, predict in learned.items()} for part, records in parts.items()}
    for part, scores in _score_frozen(started, parts, folder / CHECKPOINTS / FITTED_HEAD).items():
        beside[part][FROZEN_ROW] = scores
    return beside


def _score_frozen(started: Started, parts: Mapping[str, Sequence[Record]], head: Path) -> dict[str, Scores]:
    if started.config.train.epochs == 0 or started.config.model.weights == "random":  # the model is no other; nothing is pretrained
        return {}
    frozen = _frozen(started, head)
    answered = {}
    if "dev" in parts:
        frozen.task, answered["dev"] = fitted_answers(frozen, parts["dev"], started.dev)
    if "test" in parts:
        answered["test"] = [prediction for _, prediction in frozen.stream(parts["test"])]
    return {part: frozen.task.score(parts[part], predictions) for part, predictions in answered.items()}


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
    rows = {name: overall_row(of_baseline) for name, of_baseline in beside[last].items()} | {MODEL_ROW: overall_row(scores[last])}
    return rows | {f"{MODEL_ROW}, {part}": overall_row(scores[part]) for part in earlier}


def baselines_json(beside: Beside) -> dict:
    """As `scores.json` holds it."""
    return {"baselines": {part: {name: found.values for name, found in of_part.items()} for part, of_part in beside.items()}}


def say_worth(scores: Mapping[str, Scores], beside: Beside) -> Iterator[Said]:
    """One line, where the model is no better than a baseline."""
    part = list(scores)[-1]
    main, value = scores[part].main, scores[part].values[scores[part].main]
    reached = {name: found.values[main] for name, found in beside[part].items()}
    best = max(reached, key=reached.get)
    if reached[best] >= value:
        text = f"no: {best} reaches {reached[best]:.3f} on {part}, the model {value:.3f} ({main.replace('_', ' ')})"
        yield Said("worth it?", text, warning=True)
