"""The points of a learning curve: nested subsets of the training records, each learned from with several seeds, scored on the same dev set.

A point that is finished is a line of `points.jsonl` and is not measured again; one that was interrupted goes on from its checkpoint.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from headway import model
from headway.config import Config
from headway.curves import Point
from headway.errors import DataError, OutputError
from headway.events import Evaluated, Event, Said, Stepped, Worked, relay
from headway.folders import add_to_log, read_log
from headway.jobs.corpus import Corpus
from headway.jobs.learning import STOPPED, Started, fitted_answers, learn
from headway.jobs.points import POINTS
from headway.jobs.run_folder import MODEL
from headway.jobs.start import start_on
from headway.probe import fit_layer, reading_features
from headway.records import Prediction, Record, Window
from headway.splits import nested
from headway.tasks import Task
from headway.wording import metric_text, score_text

LEARNING = "learning"  # the folder of the point that is being measured
SHARES = (0.125, 0.25, 0.5, 1)
RESAMPLINGS = 60  # of dev, to know how much its choice matters; of the first seed alone, as the others have the same dev
DIGITS = 5  # of a score that is kept
MOST_HELD = 500_000  # tokens whose features are held at once: 0.8 GB at a width of 384, and as much twice more while a layer is fitted


@dataclass(frozen=True)
class Measured:
    """A point, and the same for each class or entity type, whose size counts its own labels."""

    how: str  # "fine-tuned" or "frozen"
    metric: str
    point: Point
    by_label: dict[str, Point]


@dataclass(frozen=True)
class Curves:
    """What is to be measured, and where it is kept."""

    started: Started
    corpus: Corpus
    config: Config  # as it was given, with "auto" where the size of a subset is to decide
    folder: Path
    seeds: int
    how: Literal["fine-tuned", "frozen"]
    shares: tuple[float, ...] = SHARES

    def plan(self) -> list[tuple[int, list[int]]]:
        """Seed and positions of every point: the whole curve of one seed before the next, so that each adds to all sizes."""
        seeds = range(1, self.seeds + 1)
        return [(seed, subset) for seed in seeds for subset in nested(self.corpus.train, shares=self.shares, seed=seed)]


def measure(curves: Curves) -> Iterator[Event]:
    """Measure every point of the plan that `read_points` does not find, and keep it."""
    known = {(kept.point.seed, kept.point.size) for kept in read_points(curves.folder, how=curves.how)}
    plan = curves.plan()
    missing = [(seed, subset) for seed, subset in plan if (seed, len(subset)) not in known]
    if known:
        yield Said("kept", f"{len(plan) - len(missing)} of {len(plan)} points have been measured before")
    if missing:
        yield from _MEASURES[curves.how](curves, missing)


def read_points(folder: Path, *, how: str | None = None) -> list[Measured]:
    """What has been measured. A last line that was cut short by a crash is no point.

    Raises:
        OutputError: the points are of another kind than `how`.
    """
    found = [
        Measured(
            line["how"], line["metric"], Point(**line["point"]), {name: Point(**of_label) for name, of_label in line["by_label"].items()}
        )
        for line in read_log(folder / POINTS)
    ]
    if how is not None and any(kept.how != how for kept in found):
        raise OutputError(f"{folder / POINTS}: holds a curve of {found[0].how} models; choose another --out")
    return found


def _keep(folder: Path, measured: Measured) -> None:
    points = {"point": measured.point._asdict(), "by_label": {name: point._asdict() for name, point in measured.by_label.items()}}
    add_to_log(folder / POINTS, asdict(measured) | points)


# --- fine-tuned


def _fine_tuned(curves: Curves, missing: Sequence[tuple[int, list[int]]]) -> Iterator[Event]:
    """By the same path as `headway train`: the best model on dev, with its decisions fitted there."""
    for seed, subset in missing:
        how = curves.config.train.model_copy(update={"seed": seed})
        started = start_on(curves.started, curves.corpus.train, subset, curves.config.model_copy(update={"train": how}))
        folder = curves.folder / f"{LEARNING}-{seed}-{len(subset)}"
        folder.mkdir(exist_ok=True)
        yield from relay(learn(started, folder), partial(_progress, folder=curves.folder))
        best = model.load(folder / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
        task, predictions = fitted_answers(best, curves.corpus.dev, started.dev)
        measured = _measured(curves, task, predictions, subset=subset, seed=seed)
        _keep(curves.folder, measured)
        shutil.rmtree(folder)
        yield Said(f"{len(subset):,} records", f"seed {seed} · {metric_text(measured.metric)} {score_text(measured.point.score)}")


def _progress(event: Event, folder: Path) -> Iterator[Event]:
    """Only what moves: what else a training says would be said once for every point."""
    if isinstance(event, Stepped | Evaluated | Worked):
        yield event
    elif isinstance(event, Said) and event.topic == STOPPED:
        yield Said(STOPPED, f"saved. Go on with the same command and --out {folder}")


# --- frozen


def _frozen(curves: Curves, missing: Sequence[tuple[int, list[int]]]) -> Iterator[Event]:
    """A linear layer on what the pretrained network says of each text, or of each of its tokens: the network is asked once."""
    started, trained = curves.started, curves.started.model
    _check_held(trained.task, [*started.train, *started.dev])
    yield Said("", "reading the texts once, with the network as it is")
    trained.cast(started.config.train.precision)
    train = yield from reading_features(trained, started.train)
    dev = yield from reading_features(trained, started.dev)
    of_record = np.array([window.record for window in started.train])
    answers: dict[int, tuple[Task, list[Prediction]]] = {}  # of the largest size, where a seed changes nothing
    for seed, subset in missing:
        if len(subset) not in answers:
            chosen_W = np.flatnonzero(np.isin(of_record, subset))
            windows = [started.train[position] for position in chosen_W]
            learned = train[chosen_W] if isinstance(train, np.ndarray) else [train[position] for position in chosen_W]
            weight_CD, bias_C = fit_layer(trained.task, learned, windows, outputs=len(trained.task.outputs()))
            decisions = [rows @ weight_CD.T + bias_C for rows in dev]
            task = trained.task.fitted(curves.corpus.dev, started.dev, decisions)
            found = task, task.predictions(curves.corpus.dev, started.dev, decisions)
            answers |= {len(subset): found} if len(subset) == len(curves.corpus.train) else {}
        else:
            found = answers[len(subset)]
        _keep(curves.folder, _measured(curves, *found, subset=subset, seed=seed))


def _check_held(task: Task, windows: Sequence[Window]) -> None:
    """Raise where the features of all tokens would fill the memory; those of texts are few."""
    tokens = sum(map(len, windows)) if task.name != "classification" else 0
    if tokens > MOST_HELD:
        held = f"--quick holds what the network says of every token, of {MOST_HELD:,} at most"
        raise DataError(f"{held}; there are {tokens:,} with those of dev: give it fewer records, or leave --quick away")


_MEASURES = {"fine-tuned": _fine_tuned, "frozen": _frozen}


# --- scored


def _measured(curves: Curves, task: Task, predictions: Sequence[Prediction], *, subset: Sequence[int], seed: int) -> Measured:
    dev = curves.corpus.dev
    scores = task.score(dev, predictions)
    count = RESAMPLINGS if seed == 1 else 0
    draws = np.random.default_rng(1).integers(len(dev), size=(count, len(dev)))  # the same for every size
    times_NB = np.array([np.bincount(draw, minlength=len(dev)) for draw in draws], dtype=np.float64).reshape(count, len(dev)).T
    resampled = scores.weigh(times_NB) if count else {}
    held = Counter(name for position in subset for name in labels_of(curves.corpus.train[position]))
    by_label = {
        name: Point(held[name], seed, round(rates["f1"], DIGITS), _rounded(resampled.get((name, "f1"), ()), where_none=rates["f1"]))
        for name, rates in scores.by_label.items()
        if held[name]
    }
    drawn = _rounded(resampled.get((None, scores.main), ()), where_none=0.0)
    point = Point(len(subset), seed, round(scores.values[scores.main], DIGITS), drawn)
    return Measured(curves.how, scores.main, point, by_label)


def labels_of(record: Record) -> tuple[str, ...]:
    """The classes a record is of, or the types of its entities, each as often as it has them."""
    if record.entities is not None:
        return tuple(entity.label for entity in record.entities)
    if isinstance(record.label, str):
        return (record.label,)
    return record.label if isinstance(record.label, tuple) else ()


def _rounded(scores_B: Iterable[float], *, where_none: float) -> tuple[float, ...]:
    """`where_none` for a resampling of dev that has nothing to judge by."""
    return tuple(round(float(where_none if np.isnan(score) else score), DIGITS) for score in scores_B)
