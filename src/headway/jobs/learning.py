"""The inside of a training: drive `engine.fit`, log, score dev, keep the best model, save where to go on, stop when it is enough."""

import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import starmap
from pathlib import Path

import numpy as np
from torch import Tensor

from headway import checkpoint, engine, model
from headway.adapters import placed
from headway.compiling import compiled
from headway.config import Config
from headway.engine import Step
from headway.events import Evaluated, Event, Said, Stepped
from headway.frozen import Kept
from headway.jobs.failures import NO_LEARNING, computed, does_not_learn, first_epoch_ends, read_losses
from headway.jobs.recovery import RATE, Rate, RolledBack, keep_rollback, recovering, roll_back
from headway.jobs.run_folder import CHECKPOINTS, EVALUATIONS, FITTED_HEAD, MODEL, STEPS, cut_logs
from headway.jobs.soup import Dev, Ingredient, kept_best, souping
from headway.jobs.step_log import Diverged, StepLog
from headway.layers import frozen_parts
from headway.model import Model
from headway.objective import objective
from headway.optimize import Optimizer
from headway.packing import Order
from headway.pretrained import Source
from headway.probe import fitting_head, keep_head, restore_head
from headway.records import Prediction, Record, Window
from headway.tasks import Task

FROZEN = "frozen layers"  # the topic of what a training says of those
FITTING = "new layer"  # the topic of what a training says before it fits one
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
    left_open: tuple[str, ...]  # settings that nobody made, and that were decided


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
    run = Run(started, folder, optimizer, order, steps, _log(started, folder))
    with (yield from _computing_once(started)), _compiling(started):
        yield from recovering(run, partial(_interruptible, progress=progress), partial(_rolled_back, progress=progress))


def _computing_once(started: Started) -> Generator[Event, None, AbstractContextManager]:
    """What frozen layers give is kept for as long as this is entered, where it can be and there is memory for it."""
    train, regularize = started.config.train, started.config.regularize
    if regularize.frozen_layers == 0 or train.frozen_cache_gib == 0:
        return nullcontext()
    kept = Kept(started.model.encoder, regularize.frozen_layers, [*started.train, *started.dev])
    if regularize.adversarial > 0 or regularize.freelb > 0:
        why_not = f"regularize.{'adversarial' if regularize.adversarial > 0 else 'freelb'} changes what they read"
    elif kept.gib > train.frozen_cache_gib:
        why_not = f"it would take {kept.gib:.1f} GiB, and train.frozen_cache_gib is {train.frozen_cache_gib:g}"
    else:
        why_not = yield from kept.read(token_budget=started.model.token_budget)
    if why_not is not None:
        yield Said(FROZEN, f"what they give is computed anew in every epoch: {why_not}")
        return nullcontext()
    yield Said(FROZEN, f"what they give is computed once and kept, in {kept.gib:.2f} GiB")
    return kept.in_place()


def _compiling(started: Started) -> AbstractContextManager:
    """What stays as it was pretrained may be kept, and is then not computed at all."""
    if not started.config.train.compile:
        return nullcontext()
    return compiled(started.model.encoder.network, above=started.config.regularize.frozen_layers)


def _optimizer(started: Started, progress: "Progress", *, steps: int) -> Optimizer:
    """For the network as it is, in fp32, which then computes in what precision is wanted; the rate is halved by each roll-back."""
    config, trained = started.config, started.model
    rate = _rate(config, progress).now
    trained.encoder.still = frozen_parts(trained.encoder.network, config.regularize.frozen_layers)
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


def _rate(config: Config, progress: "Progress") -> Rate:
    return Rate(RATE, config.train.learning_rate, progress.rollbacks)


def _log(started: Started, folder: Path) -> StepLog:
    return StepLog(folder / STEPS, behind=started.model.encoder.network.device.type != "cpu")


def _interruptible(run: "Run", progress: "Progress") -> Iterator[Event]:
    for event in run.learn(progress):
        try:
            yield event
        except KeyboardInterrupt:  # here, where the update is whole; one that comes in the midst of an update has nothing to save
            with suppress(Diverged):  # then there is nothing to save, and it goes on from the checkpoint before
                run.save_checkpoint(progress)
            yield Said(STOPPED, f"at step {progress.step}, saved. Go on with: headway train --resume {run.folder}")
            raise


def _rolled_back(run: "Run", diverged: Diverged, progress: "Progress") -> tuple["Run", RolledBack]:
    """The run at the best model so far, or at its start, with half the rate; saved, so that it goes on from there.

    Where that is depends on the evaluations alone, not on when a checkpoint was written: a resumed run is rolled back as an unbroken one.

    Raises:
        TrainingError: it has been rolled back often enough. The best model so far is not touched.
    """
    started, best = run.started, f"the best model so far, of step {progress.best_step}"
    kept = f"; {best}, is in {run.folder / MODEL}" if progress.best_step else ""
    to = best if progress.best_step else "the start"
    rolled = roll_back(_rate(started.config, progress), f"step {diverged.step}", to=to, kept=kept)
    progress.step = progress.evaluated = progress.first = progress.best_step
    progress.rollbacks, progress.without_gain = rolled.times, 0
    progress.ingredients = [[value, step] for value, step in progress.ingredients if step <= progress.step]
    network = started.model.encoder.network.float()
    network.load_state_dict(_good_weights(run, progress))
    run.optimizer.wake(run.steps)  # what waits for its turn is not frozen
    optimizer = _optimizer(started, progress, steps=run.steps)
    optimizer.mixout = run.optimizer.mixout  # to the pretrained weights as before, and not to where it begins again
    run = replace(run, optimizer=optimizer, log=_log(started, run.folder))
    keep_rollback(run.folder, rolled)
    run.save_checkpoint(progress)
    cut_logs(run.folder, progress.step)
    return run, rolled


def _good_weights(run: "Run", progress: "Progress") -> dict[str, Tensor]:
    """In fp32: those of the best model, or those that training started from."""
    started = run.started
    fresh = model.start(started.model.task, started.source, started.config, started.model.data)
    if progress.best_step:
        best = model.load(run.folder / MODEL, precision="fp32", device="cpu")
        return placed(fresh.encoder.network, best.encoder.network.state_dict())
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
    gained: bool = False  # whether one was better than the first: before, a level score is that of a network that has not begun to learn
    rollbacks: int = 0  # each halves the rate
    first: int = 0  # the step of the last roll-back
    ingredients: list[list] = field(default_factory=list)  # of a soup: value and step of the best models, best first


@dataclass(frozen=True)
class Run:
    """A training in progress and the folder it writes to."""

    started: Started
    folder: Path
    optimizer: Optimizer
    order: Order
    steps: int
    log: StepLog

    def learn(self, progress: Progress) -> Iterator[Event]:
        yield from self._update(progress)
        if self.started.config.regularize.soup != "none":
            kept = list(starmap(Ingredient, progress.ingredients))
            yield from souping(self.folder, kept, Dev(self.started.dev_records, self.started.dev), self.started.config)

    def _update(self, progress: Progress) -> Iterator[Event]:
        config = self.started.config.train
        updates = engine.fit(
            self.started.model.encoder,
            self.started.train,
            optimizer=self.optimizer,
            order=self.order,
            loss=objective(self.started.model.task, self.started.config.regularize, self.started.config.distill),
            start=progress.step,
        )
        saved = time.monotonic()
        if self.steps == 0:
            yield self._evaluate(progress)
        if self._evaluation_is_due(progress):  # the run was stopped between an update and its evaluation
            yield self._evaluate(progress)
        if self._is_over(progress):
            return
        self.log.pause()
        for step in updates:
            progress.step = step.number
            yield from self._told(self.log.add(step))
            if self._evaluation_is_due(progress):
                yield from self._told(self.log.rest())
                yield self._evaluate(progress)
                self.log.pause()
            over = self._is_over(progress)
            if over or step.number == self.steps or time.monotonic() - saved > config.checkpoint_minutes * 60:
                yield from self._told(self.log.rest())
                self.save_checkpoint(progress)
                saved = time.monotonic()
                self.log.pause()
            if over and step.number < self.steps:
                yield Said("stopped early", f"no better in {config.patience} evaluations; the best was at step {progress.best_step}")
                break

    def _told(self, steps: Iterable[Step]) -> Iterator[Event]:
        for step in steps:
            yield self._stepped(step)
            yield from self._warn(step)

    def _warn(self, step: Step) -> Iterator[Said]:
        """Of a random head; one that was fitted beforehand is judged at the end."""
        per_epoch = self.order.updates_per_epoch
        if self.started.config.model.head == "random" and first_epoch_ends(step.number, updates_per_epoch=per_epoch):
            told = does_not_learn(read_losses(self.folder / STEPS), updates_per_epoch=per_epoch)
            yield from [Said(NO_LEARNING, told, warning=True)] if told else []

    def save_checkpoint(self, progress: Progress) -> None:
        """
        Raises:
            Diverged: the weights are lost; the checkpoint before is left as it is.
        """
        self.log.rest()
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
        known = computed(scores)
        better = known and (progress.best is None or value > progress.best)
        level = known and value == progress.best
        if better or level or (progress.best is None and not known):  # a score that says nothing beats none, and nothing is better than it
            progress.gained |= better and progress.best is not None
            progress.without_gain = progress.without_gain + 1 if level and progress.gained else 0
            self._keep_best(progress, value if known else None)  # of those that are level the later has learned more (LOG.md)
        else:
            progress.without_gain += 1
        if known and self.started.config.regularize.soup != "none":
            self._keep_ingredient(progress, value)
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

    def _keep_ingredient(self, progress: Progress, value: float) -> None:
        weights, size = self.started.model.stock_weights(self.optimizer.weights()), self.started.config.regularize.soup_size
        kept = list(starmap(Ingredient, progress.ingredients))
        best = kept_best(self.folder, kept, Ingredient(value, progress.step), weights, size=size)
        progress.ingredients = list(map(list, best))

    def _stepped(self, step: Step) -> Stepped:
        per_epoch = self.order.updates_per_epoch
        return Stepped(
            step=step.number,
            steps=self.steps,
            epoch=step.number / per_epoch,
            epochs=self.steps / per_epoch,
            loss=float(step.loss),
            learning_rate=step.learning_rate,
            tokens_per_second=self.log.tokens_per_second,
            seconds_left=self.log.seconds_a_step * (self.steps - step.number),
        )


def fitted_answers(trained: Model, records: Sequence[Record], windows: Sequence[Window]) -> tuple[Task, list[Prediction]]:
    """The task with its decisions fitted on these records, and what it then says of them."""
    decisions = trained.decisions(windows)
    task = trained.task.fitted(records, windows, decisions)
    return task, task.predictions(records, windows, decisions)
