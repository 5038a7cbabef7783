"""The inside of a training: drive `engine.fit`, log, score dev, keep the best model, save where to go on, stop when it is enough."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from headway import checkpoint, engine, model
from headway.config import Config
from headway.engine import Step
from headway.errors import TrainingError
from headway.events import Evaluated, Event, Said, Stepped
from headway.jobs.failures import does_not_learn, first_epoch_ends, read_losses
from headway.jobs.run_folder import CHECKPOINTS, EVALUATIONS, FITTED_HEAD, MODEL, STEPS, cut_logs
from headway.model import Model
from headway.objective import objective
from headway.optimize import Optimizer
from headway.packing import Order
from headway.pretrained import Source
from headway.probe import fitting_head, keep_head, restore_head
from headway.records import Prediction, Record, Window
from headway.tasks import Task

FITTING = "new layer"  # the topic of what a training says before it fits one
MOST_ROLLBACKS = 3
ROLL_BACK = "roll back"  # the topic of what a training says when it goes back to its best model
STOPPED = "stopped"  # the topic of what a training says when it is interrupted
WATCHED = 32  # windows that have to be answered by numbers where there is no dev set


@dataclass(frozen=True)
class Started:
    """All that training needs, before its first update."""

    model: Model
    config: Config  # with nothing left to decide
    source: Source
    train: list[Window]
    dev_records: list[Record]
    dev: list[Window]
    unreachable: int  # references of dev and train that no prediction can match


def learn(started: Started, folder: Path) -> Iterator[Event]:
    """Drive `engine.fit`: log, evaluate, keep the best model, save where to go on, stop when it is enough."""
    config, trained = started.config, started.model
    order = Order(len(started.train), config.train.batch_size, config.train.seed)
    steps = max(round(order.updates_per_epoch * config.train.epochs), 1) if config.train.epochs > 0 else 0
    kept = checkpoint.load_newest(folder / CHECKPOINTS)
    progress = Progress() if kept is None else Progress(**kept.progress)
    optimizer = _optimizer(started, progress, steps=steps)
    if kept is None and config.model.head == "fitted":
        yield Said(FITTING, "started from a fit on the frozen encoder's features")
        if (folder / CHECKPOINTS / FITTED_HEAD).is_file():  # it was fitted before, here or in another trial
            restore_head(trained, folder / CHECKPOINTS / FITTED_HEAD)
        else:
            yield from fitting_head(trained, started.train, seed=config.train.seed)
            keep_head(trained, folder / CHECKPOINTS / FITTED_HEAD)
        optimizer.adopt(trained.encoder.head())
    if kept is not None:
        optimizer.restore(kept.tensors, done=progress.step)
        yield from (Said("resume", f"left out {damaged}", warning=True) for damaged in kept.damaged)
        yield Said("resume", f"going on from step {progress.step} of {steps}")
    cut_logs(folder, progress.step)
    run = Run(started, folder, optimizer, order, steps)
    while True:
        try:
            yield from _interruptible(run, progress)
            return
        except Diverged as diverged:
            run, said = _rolled_back(run, progress, diverged)
        yield said


def _optimizer(started: Started, progress: "Progress", *, steps: int) -> Optimizer:
    """For the network as it is, in fp32, which then computes in what precision is wanted; the rate is halved by each roll-back."""
    config, trained = started.config, started.model
    rate = config.train.learning_rate / 2**progress.rollbacks
    table = trained.encoder.table() if config.train.row_updates else None
    optimizer = Optimizer(
        trained.encoder.network,
        train=config.train.model_copy(update={"learning_rate": rate}),
        regularize=config.regularize,
        steps=steps,
        table=table,
        first=progress.first,
    )
    trained.cast(config.train.precision)
    return optimizer


def _interruptible(run: "Run", progress: "Progress") -> Iterator[Event]:
    for event in run.learn(progress):
        try:
            yield event
        except KeyboardInterrupt:  # here, where the update is whole; one that comes in the midst of an update has nothing to save
            run.save_checkpoint(progress)
            yield Said(STOPPED, f"at step {progress.step}, saved. Go on with: headway train --resume {run.folder}")
            raise


class Diverged(Exception):
    """The loss of an update, or its gradient, is not a number: the weights are lost."""

    def __init__(self, step: int):
        super().__init__(step)
        self.step = step


def _rolled_back(run: "Run", progress: "Progress", diverged: Diverged) -> tuple["Run", Said]:
    """The run at the best model so far, or at its start, with half the rate; saved, so that it goes on from there.

    Where that is depends on the evaluations alone, not on when a checkpoint was written: a resumed run is rolled back as an unbroken one.

    Raises:
        TrainingError: it has been rolled back often enough. The best model so far is not touched.
    """
    started, rate = run.started, run.optimizer.train.learning_rate
    if progress.rollbacks == MOST_ROLLBACKS:
        kept = f"; the best model so far, of step {progress.best_step}, is in {run.folder / MODEL}" if progress.best_step else ""
        raise TrainingError(
            f"step {diverged.step}: the loss is not a number any more, also at a rate of {rate:g} after {MOST_ROLLBACKS} roll-backs; "
            f"lower train.learning_rate (it is {started.config.train.learning_rate:g}){kept}"
        )
    progress.step = progress.evaluated = progress.first = progress.best_step
    progress.rollbacks, progress.without_gain = progress.rollbacks + 1, 0
    network = started.model.encoder.network.float()
    network.load_state_dict(_good_weights(run, progress))
    run.optimizer.wake(run.steps)  # what waits for its turn is not frozen
    optimizer = _optimizer(started, progress, steps=run.steps)
    optimizer.mixout = run.optimizer.mixout  # to the pretrained weights as before, and not to where it begins again
    run = replace(run, optimizer=optimizer)
    run.save_checkpoint(progress)
    cut_logs(run.folder, progress.step)
    where = f"the best model so far, of step {progress.step}" if progress.step else "the start"
    text = f"step {diverged.step}: the loss is not a number; back to {where}, at half the rate, {rate / 2:g}"
    return run, Said(ROLL_BACK, f"{text} ({progress.rollbacks} of at most {MOST_ROLLBACKS})", warning=True)


def _good_weights(run: "Run", progress: "Progress") -> dict[str, Tensor]:
    """In fp32: those of the best model, or those that training started from."""
    if progress.best_step:
        return model.load(run.folder / MODEL, precision="fp32", device="cpu").encoder.network.state_dict()
    started = run.started
    fresh = model.start(started.model.task, started.source, started.config, started.model.data)
    if started.config.model.head == "fitted":
        restore_head(fresh, run.folder / CHECKPOINTS / FITTED_HEAD)
    return fresh.encoder.network.state_dict()


@dataclass
class Progress:
    """Where a run stands; what a checkpoint keeps beside the weights."""

    step: int = 0
    evaluated: int = 0  # the step of the last evaluation
    best: float | None = None
    best_step: int = 0
    without_gain: int = 0  # evaluations since the best
    rollbacks: int = 0  # each halves the rate
    first: int = 0  # the step of the last roll-back


@dataclass(frozen=True)
class Run:
    """A training in progress and the folder it writes to."""

    started: Started
    folder: Path
    optimizer: Optimizer
    order: Order
    steps: int

    def learn(self, progress: Progress) -> Iterator[Event]:
        config = self.started.config.train
        updates = engine.fit(
            self.started.model.encoder,
            self.started.train,
            optimizer=self.optimizer,
            order=self.order,
            loss=objective(self.started.model.task, self.started.config.regularize, self.started.config.distill),
            start=progress.step,
        )
        pace, saved = Pace(), time.monotonic()
        if self.steps == 0:
            yield self._evaluate(progress)
        if self._evaluation_is_due(progress):  # the run was stopped between an update and its evaluation
            yield self._evaluate(progress)
        if self._is_over(progress):
            return
        with (self.folder / STEPS).open("a", encoding="utf-8", buffering=1) as log:  # line by line: a killed run has its whole log
            for step in updates:
                if not math.isfinite(step.loss) or not math.isfinite(step.gradient_norm):
                    raise Diverged(step.number)
                progress.step = step.number
                log.write(json.dumps(log_line(step, pace.add(step))) + "\n")
                yield self._stepped(step, pace)
                yield from self._warn(step)
                if self._evaluation_is_due(progress):
                    yield self._evaluate(progress)
                    pace.pause()
                over = self._is_over(progress)
                if over or step.number == self.steps or time.monotonic() - saved > config.checkpoint_minutes * 60:
                    self.save_checkpoint(progress)
                    saved = time.monotonic()
                    pace.pause()
                if over and step.number < self.steps:
                    yield Said("stopped early", f"no better in {config.patience} evaluations; the best was at step {progress.best_step}")
                    break

    def _warn(self, step: Step) -> Iterator[Said]:
        """A head that was fitted beforehand may have little left to learn in its first epoch; a random one has much."""
        per_epoch = self.order.updates_per_epoch
        if self.started.config.model.head == "random" and first_epoch_ends(step.number, updates_per_epoch=per_epoch):
            told = does_not_learn(read_losses(self.folder / STEPS), updates_per_epoch=per_epoch)
            yield from [Said("no learning", told, warning=True)] if told else []

    def save_checkpoint(self, progress: Progress) -> None:
        keep = self.started.config.train.checkpoints
        checkpoint.save(self.folder / CHECKPOINTS, progress.step, tensors=self.optimizer.state(), progress=asdict(progress), keep=keep)

    def _is_over(self, progress: Progress) -> bool:
        """Whether there have been `patience` evaluations without a better score."""
        patience = self.started.config.train.patience
        return 0 < patience <= progress.without_gain

    def _evaluation_is_due(self, progress: Progress) -> bool:
        """At the end, and `evaluations` times an epoch, evenly."""
        step, per_epoch, times = progress.step, self.order.updates_per_epoch, self.started.config.train.evaluations
        return progress.evaluated < step and (step == self.steps or step * times // per_epoch > (step - 1) * times // per_epoch)

    def _evaluate(self, progress: Progress) -> Evaluated | Said:
        """Score dev, and keep the model where none before it was better; without dev the newest is the best."""
        trained, records = self.started.model, self.started.dev_records
        progress.evaluated = progress.step
        if not records:
            self._decisions(progress, self.started.train[:WATCHED])
            self._keep_best(progress, 0.0)
            return Said("", f"step {progress.step}: saved; no dev set to score")
        decisions = self._decisions(progress, self.started.dev)
        task = trained.task.fitted(records, self.started.dev, decisions)  # as good as it would be with its decisions fitted here
        scores = task.score(records, task.predictions(records, self.started.dev, decisions))
        value = scores.values[scores.main]
        known = math.isfinite(value)
        better = known and (progress.best is None or value > progress.best)
        level = known and value == progress.best
        if (
            better or level or (progress.best is None and not known)
        ):  # a score that is not a number beats none, and nothing is better than it
            without_gain = progress.without_gain + 1 if level else 0
            self._keep_best(progress, value if known else None)  # of those that are level the later has learned more (LOG.md)
            progress.without_gain = without_gain
        else:
            progress.without_gain += 1
        evaluated = Evaluated(progress.step, scores.main, value, better or level)
        self._log_evaluation(evaluated)
        return evaluated

    def _log_evaluation(self, evaluated: Evaluated) -> None:
        with (self.folder / EVALUATIONS).open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(evaluated)) + "\n")

    def _decisions(self, progress: Progress, windows: Sequence[Window]) -> list[np.ndarray]:
        """What the model as it is says of windows; an update can ruin it that was itself computed from good numbers."""
        self.optimizer.settle()
        decisions = self.started.model.decisions(windows)
        if not all(np.isfinite(decision).all() for decision in decisions):
            raise Diverged(progress.step)
        return decisions

    def _keep_best(self, progress: Progress, value: float | None) -> None:
        self.started.model.save(self.folder / MODEL, self.optimizer.weights())
        progress.best, progress.best_step = value, progress.step

    def _stepped(self, step: Step, pace: "Pace") -> Stepped:
        per_epoch = self.order.updates_per_epoch
        return Stepped(
            step=step.number,
            steps=self.steps,
            epoch=step.number / per_epoch,
            epochs=self.steps / per_epoch,
            loss=float(step.loss),
            learning_rate=step.learning_rate,
            tokens_per_second=pace.tokens_per_second,
            seconds_left=pace.seconds_a_step * (self.steps - step.number),
        )


class Pace:
    """How fast training goes, without the time that evaluating and saving take."""

    def __init__(self) -> None:
        self.tokens, self.steps, self.seconds, self._last = 0, 0, 0.0, time.monotonic()

    def add(self, step: Step) -> float:
        """Count an update; gives its seconds."""
        now = time.monotonic()
        spent, self._last = now - self._last, now
        self.tokens, self.steps, self.seconds = self.tokens + step.tokens, self.steps + 1, self.seconds + spent
        return spent

    def pause(self) -> None:
        self._last = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    @property
    def seconds_a_step(self) -> float:
        return self.seconds / max(self.steps, 1)


def fitted_answers(trained: Model, records: Sequence[Record], windows: Sequence[Window]) -> tuple[Task, list[Prediction]]:
    """The task with its decisions fitted on these records, and what it then says of them."""
    decisions = trained.decisions(windows)
    task = trained.task.fitted(records, windows, decisions)
    return task, task.predictions(records, windows, decisions)


def log_line(step: Step, seconds: float) -> dict:
    return {
        "step": step.number,
        "loss": float(step.loss),
        "learning_rate": step.learning_rate,
        "gradient_norm": float(step.gradient_norm),
        "tokens": step.tokens,
        "seconds": round(seconds, 4),
    }
