"""How long a training takes on this machine, measured by a few updates of the training itself, and what fits into a time."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.config import Config
from headway.errors import ConfigError
from headway.events import Said, Stepped, Worked, Working
from headway.jobs.learning import Started, learn
from headway.jobs.pristine import Pristine, keep_pristine
from headway.jobs.start import decided
from headway.packing import Order
from headway.probe import MOST_WINDOWS
from headway.recipe import MOST_EPOCHS
from headway.records import Record

UNITS = {"h": 3600, "m": 60, "s": 1}
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(h|m|s))+", re.ASCII)
PART = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)", re.ASCII)
WARMING = 2  # updates, and windows to answer, that are slower than those after them
FEWEST, MOST = 4, 200  # updates that are measured
MEASURED = 0.03  # of the time goes into measuring
MOST_SECONDS = 15.0
DEV_WINDOWS = 256
KEPT_BACK = 0.05  # of the time, for what nobody has foreseen
ANSWERS = 3  # times that dev is answered beside the evaluations: decisions, baselines and golden predictions
CHECKPOINT = 3  # times as much as a model that the checkpoint at the end of a training writes: weights and two moments
ENDING = 2  # times that a model is read or written after that


def seconds_of(text: str, *, name: str) -> float:
    """ "1h30m" -> 5400.0

    Raises:
        ConfigError: it is no duration; `name` is the setting's.
    """
    if not DURATION.fullmatch(text.strip()):
        raise ConfigError(f'{name} = "{text}": expected a time such as 30m, 90s, 2h or 1h30m')
    seconds = sum(float(count) * UNITS[unit] for count, unit in PART.findall(text))
    if seconds == 0:
        raise ConfigError(f'{name} = "{text}": expected a time over 0')
    return seconds


def clock_words(seconds: float) -> str:
    """3:20, 1:02:41."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


@dataclass(frozen=True)
class Pace:
    """Seconds that things take."""

    epoch: float  # all updates of one, on all windows
    evaluation: float  # of dev
    start: float  # before the first update
    saving: float = 0.0  # of a model, as after an evaluation that is the best so far

    def training(self, epochs: float, *, evaluations: int, share: float = 1.0) -> float:
        """The whole of one, on a share of the windows, with so many evaluations an epoch, each of which may be the best."""
        whole = self.start + CHECKPOINT * self.saving
        return whole + epochs * (share * self.epoch + evaluations * (self.evaluation + self.saving))

    def ending(self) -> float:
        """What comes after the training that is kept."""
        return ANSWERS * self.evaluation + ENDING * self.saving


def measuring(pristine: Pristine, records: list[Record], *, seconds: float) -> Working[Pace]:
    """Train for a few updates, and answer some of dev; the network is put back by whoever needs it.

    Args:
        seconds: there are for everything.
    """
    plain = pristine.started.config
    begun = time.monotonic()
    started = pristine.restored(_all_learns(plain), records, pristine.started.train)
    loading = time.monotonic() - begun
    limit = min(seconds * MEASURED, MOST_SECONDS)
    ticks: list[float] = []
    entered = time.monotonic()
    with TemporaryDirectory() as folder:
        with closing(learn(started, Path(folder))) as training:
            for event in training:
                if isinstance(event, Stepped):
                    ticks.append(time.monotonic())
                    yield Worked("measuring the pace", event.step, unit="updates")
                    long_enough = len(ticks) >= FEWEST and ticks[-1] - ticks[0] >= limit
                    if long_enough or len(ticks) == MOST or event.step == event.steps:
                        break
        saving = _seconds(partial(started.model.save, Path(folder) / "saved"))
    kept = ticks[min(WARMING, len(ticks) - 2) :] if len(ticks) > 1 else [begun, *ticks]
    update = (kept[-1] - kept[0]) / (len(kept) - 1)
    loading += max(ticks[0] - entered - update, 0.0)  # what comes before the first update
    order = Order(len(started.train), plain.train.batch_size, plain.train.seed)
    answer = _answering(started)
    if plain.model.head == "fitted":
        loading += fitting_seconds(answer, len(started.train))
    return Pace(update * order.updates_per_epoch, answer * len(started.dev), loading, saving)


def _all_learns(plain: Config) -> Config:
    """The same with updates as most of them are: where layers begin to learn one after the other, the first teach the new one alone.

    The new layer is not fitted either, as that is counted by itself.
    """
    changed = {"model": plain.model.model_copy(update={"head": "random"})}
    if plain.regularize.unfreezing > 0:
        changed["regularize"] = plain.regularize.model_copy(update={"unfreezing": 0.0})
        changed["train"] = plain.train.model_copy(update={"row_updates": False})  # as there are none with it
    return plain.model_copy(update=changed)


def _answering(started: Started) -> float:
    """Seconds to answer a window, of dev or where there is none of train."""
    windows = started.dev or started.train
    some = windows[:: max(len(windows) // DEV_WINDOWS, 1)]
    started.model.decisions(some[:WARMING])  # the first answer is slower than those after it
    return _seconds(partial(started.model.decisions, some)) / len(some)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def fitting_seconds(answer: float, windows: int) -> float:
    """Of a new layer on so many windows, by what answering one takes: their features are read, of the most that are ever read at once."""
    return answer * min(windows, MOST_WINDOWS)


def planning(started: Started, records: list[Record], config: Config, *, seconds: float) -> Working[tuple[Started, Said]]:
    """The same training with as many epochs as fit into the seconds that are left, and what to say of it; never more than `MOST_EPOCHS`.

    Args:
        config: as it was asked for, so that what "auto" means can follow the epochs.

    Raises:
        ConfigError: not one does.
    """
    pristine, evaluations = keep_pristine(started), started.config.train.evaluations
    begun = time.monotonic()
    pace = yield from measuring(pristine, records, seconds=seconds)
    left = seconds * (1 - KEPT_BACK) - (time.monotonic() - begun) - pace.training(0, evaluations=evaluations) - pace.ending()
    one = pace.training(1, evaluations=evaluations) - pace.training(0, evaluations=evaluations)
    if left < one:
        raise ConfigError(f'train.time = "{config.train.time}": too short: one epoch takes {clock_words(one)} on this machine')
    epochs = min(int(100 * left / one) / 100, MOST_EPOCHS)
    enough = ", and more are not needed" if epochs == MOST_EPOCHS else ""
    text = f"{epochs:g} epochs fit into {config.train.time}, at {clock_words(one)} each{enough}"
    planned = decided(with_epochs(config, epochs), started.model, records, started.train)
    return pristine.restored(planned, records, started.train), Said("time", text)


def with_epochs(config: Config, epochs: float) -> Config:
    """Planned: a run that goes on, or is repeated, does not measure again."""
    return config.model_copy(update={"train": config.train.model_copy(update={"epochs": float(epochs), "time": None})})
