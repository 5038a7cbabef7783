"""The trainings behind the claims: fine-tuned and from scratch, on nested subsets of the same records, scored on the same dev set.

From scratch means the same architecture, tokenizer and head with random weights. It gets what it needs: several times the epochs, and of
several learning rates the one that is best on dev with all records. Nothing stops early.

A training that is finished is a line of `points.jsonl` and is not made again; one that was interrupted goes on from its checkpoint.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Literal

from headway import model
from headway.config import Config
from headway.events import Evaluated, Event, Said, Stepped, Worked, relay
from headway.folders import add_to_log, read_log, write_text
from headway.jobs.corpus import Corpus
from headway.jobs.learning import FITTING, STOPPED, Started, fitted_answers, learn
from headway.jobs.points import POINTS
from headway.jobs.run_folder import EVALUATIONS, MODEL, STEPS
from headway.jobs.start import start_on
from headway.metrics import with_intervals
from headway.records import Record
from headway.splits import nested
from headway.wording import metric_text, score_text

How = Literal["fine-tuned", "from scratch"]

FITTED = "fitted.json"
SHARES = (0.125, 0.25, 0.5, 1)
FEWEST_LABELS = 32  # fine-tuning is halved down to, as long as it scores what all records give from scratch
EPOCHS = 3  # times those of fine-tuning, from scratch
RATES = (1, 3, 10)  # times that of fine-tuning, which are tried from scratch
LOOKS = {"fine-tuned": 4, "from scratch": 2}  # at dev, an epoch of all records, at least: to know when a score was reached


@dataclass(frozen=True)
class Trained:
    """A finished training: what it was, and what came of it."""

    how: How
    share: float  # of the records
    size: int
    seed: int
    factor: int  # of the rate, one of `RATES`
    learning_rate: float
    epochs: float
    metric: str
    score: float  # of the best model on dev, with its decisions fitted there
    low: float  # 95%, over the records of dev
    high: float
    seconds: float  # of all updates and of fitting the new layer before them; evaluations are not counted
    curve: tuple[tuple[float, float], ...]  # seconds and score at every evaluation


@dataclass(frozen=True)
class Lesson:
    """What is learned from, and where it is kept."""

    started: Started
    corpus: Corpus
    config: Config  # as it was given
    folder: Path

    def seeds(self) -> range:
        first = self.config.train.seed
        return range(first, first + self.config.train.seeds)

    def shares(self) -> tuple[float, ...]:
        """Of the records, rising: those of `SHARES`, and before them halves of halves."""
        shares = SHARES
        while shares[0] / 2 * len(self.corpus.train) >= FEWEST_LABELS:
            shares = (shares[0] / 2, *shares)
        return shares

    def subsets(self, seed: int) -> dict[float, list[int]]:
        """Positions by share, each within the next."""
        return dict(zip(self.shares(), nested(self.corpus.train, shares=self.shares(), seed=seed), strict=True))


def measure(lesson: Lesson) -> Iterator[Event]:
    """Make every training that `read_points` does not find."""
    if known := read_points(lesson.folder):
        yield Said("kept", f"{len(known)} trainings have been made before")
    for seed in lesson.seeds():
        for share in reversed(SHARES):
            yield from _train(lesson, "fine-tuned", share, seed=seed)
        for factor in RATES if seed == lesson.seeds()[0] else (best_factor(read_points(lesson.folder)),):
            yield from _train(lesson, "from scratch", 1, seed=seed, factor=factor)
        for share in reversed(SHARES[:-1]):
            yield from _train(lesson, "from scratch", share, seed=seed, factor=best_factor(read_points(lesson.folder)))
    yield from _halve(lesson)


def _halve(lesson: Lesson) -> Iterator[Event]:
    """Fine-tune on fewer and fewer labels, until they are too few for the score that all give from scratch."""
    larger = SHARES[0]
    for share in reversed(lesson.shares()[: -len(SHARES)]):
        points = read_points(lesson.folder)
        if mean_score(points, "fine-tuned", larger) < mean_score(points, "from scratch", 1):
            return
        for seed in lesson.seeds():
            yield from _train(lesson, "fine-tuned", share, seed=seed)
        larger = share


def of(points: Sequence[Trained], how: How, share: float) -> list[Trained]:
    """The trainings of every seed; from scratch those at the rate that is best."""
    factor = 1 if how == "fine-tuned" else best_factor(points)
    return [point for point in points if (point.how, point.share, point.factor) == (how, share, factor)]


def best_factor(points: Sequence[Trained]) -> int:
    """Of the rates that were tried from scratch on all records, with the first seed."""
    tried = [point for point in points if (point.how, point.share) == ("from scratch", 1)]
    return max((point for point in tried if point.seed == tried[0].seed), key=lambda point: point.score).factor


def mean_score(points: Sequence[Trained], how: How, share: float) -> float:
    return fmean(point.score for point in of(points, how, share))


# --- one training


def _train(lesson: Lesson, how: How, share: float, *, seed: int, factor: int = 1) -> Iterator[Event]:
    points = read_points(lesson.folder)
    if any((point.how, point.share, point.seed, point.factor) == (how, share, seed, factor) for point in points):
        return
    like = next(iter(of(points, "fine-tuned", share)), None) if how == "from scratch" else None
    config = _settings(lesson.config, seed=seed, like=like, factor=factor, share=share)
    subset = lesson.subsets(seed)[share]
    started = start_on(lesson.started, lesson.corpus.train, subset, config)
    folder = lesson.folder / f"learning-{how.replace(' ', '-')}-{len(subset)}-{seed}-{factor}"
    folder.mkdir(exist_ok=True)
    yield from relay(learn(started, folder), Watch(folder).see)
    point = _scored(started, lesson.corpus.dev, folder, how=how, share=share, factor=factor)
    add_to_log(lesson.folder / POINTS, asdict(point))
    shutil.rmtree(folder)
    rate = f" · rate {point.learning_rate:g}" if how == "from scratch" else ""
    told = f"seed {seed} · {metric_text(point.metric)} {score_text(point.score)} · {point.seconds:,.0f} s{rate}"
    yield Said(f"{len(subset):,} labels", f"{how} · {told}")


def _settings(config: Config, *, seed: int, like: Trained | None, factor: int, share: float) -> Config:
    """Of a training from scratch beside the fine-tuned one that it is `like`; of fine-tuning where there is none."""
    looks = LOOKS["from scratch" if like else "fine-tuned"] if share == 1 else 1
    changed = {"seed": seed, "seeds": 1, "patience": 0, "evaluations": max(config.train.evaluations, looks)}
    if like is None:
        return config.model_copy(update={"train": config.train.model_copy(update=changed)})
    changed |= {"learning_rate": factor * like.learning_rate, "epochs": EPOCHS * like.epochs}
    scratch = config.model.model_copy(update={"weights": "random", "head": "random"})
    whole = config.regularize.model_copy(update={"parameters": "all"})  # there is nothing pretrained to keep
    return config.model_copy(update={"model": scratch, "regularize": whole, "train": config.train.model_copy(update=changed)})


@dataclass
class Watch:
    """Passes on what moves; keeps how long the new layer was fitted before the first update."""

    folder: Path
    fitting: float | None = None  # since when

    def see(self, event: Event) -> Iterator[Event]:
        if isinstance(event, Said) and event.topic == FITTING:
            self.fitting = time.monotonic()
        elif isinstance(event, Stepped) and self.fitting is not None:
            write_text(self.folder / FITTED, json.dumps({"seconds": time.monotonic() - self.fitting}))
            self.fitting = None
        if isinstance(event, Stepped | Evaluated | Worked):
            yield event
        elif isinstance(event, Said) and event.topic == STOPPED:
            yield Said(STOPPED, f"saved. Go on with the same command and --out {self.folder.parent}")


def _scored(started: Started, dev: Sequence[Record], folder: Path, *, how: How, share: float, factor: int) -> Trained:
    train = started.config.train
    best = model.load(folder / MODEL, precision=train.precision, device=train.device, token_budget=train.token_budget)
    task, predictions = fitted_answers(best, dev, started.dev)
    scores = with_intervals(task.score(dev, predictions), [record.unit for record in dev])
    low, high = scores.interval(scores.main)
    fitting = sum(line["seconds"] for line in read_log(folder / FITTED))
    spent = [fitting + seconds for seconds in accumulate(line["seconds"] for line in read_log(folder / STEPS))]
    reached = {line["step"]: line["value"] for line in read_log(folder / EVALUATIONS)}
    return Trained(
        how=how,
        share=share,
        size=len({window.record for window in started.train}),
        seed=train.seed,
        factor=factor,
        learning_rate=train.learning_rate,
        epochs=train.epochs,
        metric=scores.main,
        score=scores.values[scores.main],
        low=low,
        high=high,
        seconds=round(spent[-1], 3),
        curve=tuple((round(spent[step - 1], 3), reached[step]) for step in sorted(reached)),
    )


# --- what is kept


def read_points(folder: Path) -> list[Trained]:
    return [Trained(**line | {"curve": tuple(map(tuple, line["curve"]))}) for line in read_log(folder / POINTS)]
