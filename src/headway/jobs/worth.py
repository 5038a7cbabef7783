"""Was it worth it? What baselines score beside the model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from headway import baselines, model
from headway.events import Estimate, Said
from headway.jobs.learning import Started, fitted_answers
from headway.jobs.run_folder import CHECKPOINTS, FITTED_HEAD
from headway.jobs.scores import overall_row
from headway.metrics import Scores
from headway.probe import restore_head
from headway.records import Record

MODEL_ROW = "this model"
FROZEN_ROW = "frozen + linear"

Beside = dict[str, dict[str, Scores]]  # part -> name of the baseline -> its scores


def score_baselines(started: Started, train: Sequence[Record], parts: Mapping[str, Sequence[Record]], folder: Path) -> Beside:
    """What each baseline scores on each part: those learned from `train`, and the head that training started from, where it was fitted."""
    task = started.model.task
    learned = baselines.learn(task.name, train)
    beside = {part: {name: task.score(records, predict(records)) for name, predict in learned.items()} for part, records in parts.items()}
    for part, scores in _score_frozen(started, parts, folder / CHECKPOINTS / FITTED_HEAD).items():
        beside[part][FROZEN_ROW] = scores
    return beside


def _score_frozen(started: Started, parts: Mapping[str, Sequence[Record]], head: Path) -> dict[str, Scores]:
    if not head.is_file() or started.config.train.epochs == 0:  # the model is no other
        return {}
    frozen = model.start(started.model.task, started.source, started.config, started.model.data)
    restore_head(frozen, head)
    frozen.cast(started.config.train.precision)
    answered = {}
    if "dev" in parts:
        frozen.task, answered["dev"] = fitted_answers(frozen, parts["dev"], started.dev)
    if "test" in parts:
        answered["test"] = [prediction for _, prediction in frozen.stream(parts["test"])]
    return {part: frozen.task.score(parts[part], predictions) for part, predictions in answered.items()}


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
