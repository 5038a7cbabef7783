"""What an encoder learns before it is fine-tuned: driven, logged, saved and gone on with as fine-tuning is; nothing is scored."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headway import checkpoint, engine
from headway.encoder import Encoder
from headway.engine import Loss, Step
from headway.errors import TrainingError
from headway.events import Event, Said, Stepped
from headway.jobs.learning import STOPPED
from headway.jobs.run_folder import CHECKPOINTS, cut_log
from headway.jobs.step_log import Diverged, StepLog
from headway.optimize import Optimizer
from headway.packing import Order
from headway.records import Window


@dataclass(frozen=True)
class Stage:
    """All that it needs before its first update."""

    name: str  # of its settings, of its log and of its checkpoints
    encoder: Encoder
    windows: Sequence[Window]
    optimizer: Optimizer
    order: Order
    loss: Loss


def learn_stage(stage: Stage, folder: Path) -> Iterator[Event]:
    """Make all updates, from the newest checkpoint in the folder on. The optimiser then holds what was learned.

    Raises:
        TrainingError: the loss is not a number. There is no going back: no score says what was good, and little is lost yet.
    """
    place, how = folder / CHECKPOINTS / stage.name, stage.optimizer.train
    steps, done = stage.optimizer.steps, 0
    if (kept := checkpoint.load_newest(place)) is not None:
        done = kept.progress["step"]
        stage.optimizer.restore(kept.tensors, done=done)
        yield from (Said("resume", f"left out {damaged}", warning=True) for damaged in kept.damaged)
        yield Said("resume", f"going on from step {done} of {steps}")
    cut_log(folder / f"{stage.name}.jsonl", done)
    log, saved = StepLog(folder / f"{stage.name}.jsonl", behind=False), time.monotonic()

    def save(step: int) -> None:
        checkpoint.save(place, step, tensors=stage.optimizer.state(), progress={"step": step}, keep=how.checkpoints)

    updates = engine.fit(stage.encoder, stage.windows, optimizer=stage.optimizer, order=stage.order, loss=stage.loss, start=done)
    for step in updates:
        try:
            log.add(step)
        except Diverged:
            name = f"{stage.name}.learning_rate"
            where = f"step {step.number} of {stage.name}"
            lower = f"lower {name} (it is {how.learning_rate:g}) and start again, as with --set {name}={how.learning_rate / 2:g}"
            raise TrainingError(f"{where}: the loss is not a number; {lower}") from None
        try:
            yield _stepped(stage, step, log)
        except KeyboardInterrupt:  # here, where the update is whole
            save(step.number)
            yield Said(STOPPED, f"at step {step.number} of {stage.name}, saved. Go on with: headway train --resume {folder}")
            raise
        if step.number < steps and time.monotonic() - saved > how.checkpoint_minutes * 60:
            save(step.number)
            saved = time.monotonic()
        log.pause()


def _stepped(stage: Stage, step: Step, log: StepLog) -> Stepped:
    steps, per_epoch = stage.optimizer.steps, stage.order.updates_per_epoch
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
