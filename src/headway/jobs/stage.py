"""What an encoder learns before it is fine-tuned: driven, logged, saved and gone on with as fine-tuning is; nothing is scored."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from headway import checkpoint, engine
from headway.encoder import Encoder
from headway.engine import Loss, Step
from headway.events import Event, Said, Stepped
from headway.jobs.learning import STOPPED
from headway.jobs.recovery import Rate, RolledBack, keep_rollback, recovering, roll_back
from headway.jobs.run_folder import CHECKPOINTS, cut_log
from headway.jobs.step_log import Diverged, StepLog
from headway.optimize import Optimizer
from headway.packing import Order
from headway.records import Window


@dataclass(frozen=True)
class Course:
    """All that the updates need, before the first."""

    encoder: Encoder
    windows: Sequence[Window]
    optimizer: Optimizer
    order: Order
    loss: Loss


@dataclass(frozen=True)
class Stage:
    """What is learned, and how it begins."""

    name: str  # of its settings, of its log and of its checkpoints
    learning_rate: float  # that was asked for
    begin: Callable[[Rate], Course]  # with the network as it is at the start, each time that it is called


@dataclass
class Progress:
    """Where a stage stands; what a checkpoint keeps beside the weights."""

    step: int = 0
    rollbacks: int = 0  # each halves the rate


def learn_stage(stage: Stage, folder: Path) -> Generator[Event, None, Course]:
    """Make all updates, from the newest checkpoint in the folder on. The optimiser of what it gives holds what was learned.

    A loss that is not a number is rolled back to the start: no score says which weights between were good.

    Raises:
        TrainingError: it has been rolled back often enough.
    """
    kept = checkpoint.load_newest(folder / CHECKPOINTS / stage.name)
    progress = Progress() if kept is None else Progress(**kept.progress)
    course = stage.begin(_rate(stage, progress))
    if kept is not None:
        course.optimizer.restore(kept.tensors, done=progress.step)
        yield from (Said("resume", f"left out {damaged}", warning=True) for damaged in kept.damaged)
        yield Said("resume", f"going on from step {progress.step} of {course.optimizer.steps}")
    cut_log(_log(stage, folder), progress.step)
    attempt = partial(_update, stage=stage, folder=folder, progress=progress)
    back = partial(_rolled_back, stage=stage, folder=folder, progress=progress)
    return (yield from recovering(course, attempt, back))


def _rate(stage: Stage, progress: Progress) -> Rate:
    return Rate(f"{stage.name}.learning_rate", stage.learning_rate, progress.rollbacks)


def _log(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.jsonl"


def _update(course: Course, *, stage: Stage, folder: Path, progress: Progress) -> Iterator[Event]:
    """
    Raises:
        Diverged: the weights are lost; the checkpoint before is left as it is.
    """
    log, saved, optimizer = StepLog(_log(stage, folder), behind=False), time.monotonic(), course.optimizer
    updates = engine.fit(course.encoder, course.windows, optimizer=optimizer, order=course.order, loss=course.loss, start=progress.step)
    for step in updates:
        log.add(step)
        progress.step = step.number
        try:
            yield _stepped(course, step, log)
        except KeyboardInterrupt:  # here, where the update is whole
            _save(course, stage, folder, progress)
            yield Said(STOPPED, f"at step {step.number} of {stage.name}, saved. Go on with: headway train --resume {folder}")
            raise
        if step.number < optimizer.steps and time.monotonic() - saved > optimizer.train.checkpoint_minutes * 60:
            _save(course, stage, folder, progress)
            saved = time.monotonic()
        log.pause()
    if not all(weight.isfinite().all() for weight in optimizer.masters().values()):  # no loss after the last update would tell
        raise Diverged(progress.step)


def _save(course: Course, stage: Stage, folder: Path, progress: Progress) -> None:
    place, keep = folder / CHECKPOINTS / stage.name, course.optimizer.train.checkpoints
    checkpoint.save(place, progress.step, tensors=course.optimizer.state(), progress=asdict(progress), keep=keep)


def _rolled_back(course: Course, diverged: Diverged, *, stage: Stage, folder: Path, progress: Progress) -> tuple[Course, RolledBack]:
    """The stage at its start, with half the rate; saved, so that it goes on from there."""
    rolled = roll_back(_rate(stage, progress), f"step {diverged.step} of {stage.name}", to="the start")
    progress.step, progress.rollbacks = 0, rolled.times
    course = stage.begin(_rate(stage, progress))
    keep_rollback(folder, rolled)
    _save(course, stage, folder, progress)
    cut_log(_log(stage, folder), 0)
    return course, rolled


def _stepped(course: Course, step: Step, log: StepLog) -> Stepped:
    steps, per_epoch = course.optimizer.steps, course.order.updates_per_epoch
    return Stepped(
        step=step.number,
        steps=steps,
        epoch=step.number / per_epoch,
        epochs=steps / per_epoch,
        loss=float(step.loss),
        learning_rate=step.learning_rate,
        tokens_per_second=log.tokens_per_second,
        seconds_left=log.seconds_a_step * (steps - step.number),
    )
