"""What a training tells, to TensorBoard or MLflow as well: `track.to`. Nothing here knows how training works: it looks at the events.

An update is told once, also where a run goes on after a crash: TensorBoard is told from which update on what it has read is void, MLflow
is asked which it has.
"""

import os
import re
import time
import tomllib
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from headway.config import Config
from headway.errors import ConfigError
from headway.events import Estimate, Evaluated, Event, Said, Scored, Stepped, relay
from headway.folders import write_text
from headway.jobs.run_folder import SETTINGS, STEPS

TENSORBOARD = "tensorboard"  # the folder of its files, in that of the run
MLFLOW_RUN = "mlflow-run.txt"  # holds the id that a resumed run goes on with
EXPERIMENT = "headway"  # where the environment names none
FORBIDDEN = re.compile(r"[^\w\-. /]")  # by MLflow, in the name of a metric
MOST_PARAMS = 100  # at a time
LONGEST_PARAM = 500


class Tracker(Protocol):
    """Where numbers go: by name, at the update they belong to. Raises whatever it likes where they do not get there."""

    def write(self, step: int, numbers: dict[str, float]) -> None: ...

    def close(self, *, finished: bool) -> None: ...


def check_tracker(config: Config) -> None:
    """Raise ConfigError where what `track.to` needs is not installed."""
    if config.track.to is not None:
        package = {"tensorboard": "tensorboard", "mlflow": "mlflow"}[config.track.to]
        if find_spec(package) is None:
            raise ConfigError(f'track.to = "{config.track.to}" needs {package}: pip install "headway[{config.track.to}]"')


def tracked(training: Generator[Event], folder: Path, config: Config) -> Iterator[Event]:
    """The events of a training, unchanged; the numbers in them go where `track.to` says.

    Raises:
        ConfigError: MLflow cannot be reached. Where that happens later on, it is said, and training goes on without.
    """
    if config.track.to is None:
        yield from training
        return
    watch = Watch(TRACKERS[config.track.to](folder), _updates(folder))
    try:
        yield from relay(training, watch.see)
    except BaseException:
        list(watch.end(finished=False))  # what is told there is told of a training that has told of worse
        raise
    yield from watch.end(finished=True)


def _updates(folder: Path) -> int:
    """How many have been made before."""
    return len((folder / STEPS).read_text(encoding="utf-8").splitlines()) if (folder / STEPS).is_file() else 0


class Watch:
    """Reads the numbers off events, until they cannot be written any more."""

    def __init__(self, tracker: Tracker, step: int):
        self.tracker: Tracker | None = tracker
        self.step = step

    def see(self, event: Event) -> Iterator[Event]:
        failed = []
        if numbers := numbers_of(event):
            self.step = getattr(event, "step", self.step)  # a table is of the last update
            failed = list(self._try(lambda tracker: tracker.write(self.step, numbers)))
        yield event  # an interrupt may come in here, after an update that a checkpoint then holds
        yield from failed

    def end(self, *, finished: bool) -> Iterator[Said]:
        yield from self._try(lambda tracker: tracker.close(finished=finished))

    def _try(self, tell: Callable[[Tracker], None]) -> Iterator[Said]:
        if self.tracker is None:
            return
        try:
            tell(self.tracker)
        except Exception as error:  # whatever a disk or a server answers is no reason to lose a training
            self.tracker = None
            yield Said("track", f"from step {self.step} on no numbers are sent: {_first_line(error)}", warning=True)


def numbers_of(event: Event) -> dict[str, float]:
    """The numbers of an event by the name they are shown under; none of most."""
    match event:
        case Stepped():
            names = ("loss", "learning_rate", "tokens_per_second")
            return {f"train/{name}": getattr(event, name) for name in names}
        case Evaluated():
            return {f"dev/{event.metric}": event.value}
        case Scored():
            cells = {f"{event.title}/{row}/{metric}": value for row, of_row in event.rows.items() for metric, value in of_row.items()}
            return {name: value.value if isinstance(value, Estimate) else value for name, value in cells.items()}
        case _:
            return {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# --- where they go


class TensorBoard:
    """Event files in the run folder. A file says from which update on those before it are void, so none is shown twice."""

    def __init__(self, folder: Path):
        self.folder = folder / TENSORBOARD
        self.writer = None
        self.last = -1

    def write(self, step: int, numbers: dict[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        begins = "train/loss" in numbers
        if self.writer is None or (begins and step <= self.last):  # the first update here, or one that is made again
            self.close(finished=False)
            self.writer = SummaryWriter(self.folder, purge_step=step if begins else step + 1)
        self.last = step
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def close(self, *, finished: bool) -> None:
        if self.writer is not None:
            self.writer.close()


class MlFlow:
    """A run of the experiment that MLFLOW_EXPERIMENT_NAME names, at MLFLOW_TRACKING_URI; a resumed run is the same one."""

    def __init__(self, folder: Path):
        import mlflow

        self.made: dict[str, int] = {}  # the last step of each name, as far as it has been asked
        kept = folder / MLFLOW_RUN
        try:
            self.client = mlflow.MlflowClient()
            if kept.is_file():
                self.run = kept.read_text(encoding="utf-8").strip()
                self.client.update_run(self.run, status="RUNNING")
            else:
                self.run = self.client.create_run(_experiment(self.client), run_name=folder.name).info.run_id
                self._describe(folder)
                write_text(kept, self.run)
        except mlflow.MlflowException as error:
            what = "set MLFLOW_TRACKING_URI to a server, or pip install mlflow, which keeps runs on this machine"
            raise ConfigError(f'track.to = "mlflow": {_first_line(error)[:300]}; {what}') from None

    def _describe(self, folder: Path) -> None:
        from mlflow.entities import Param

        sections = tomllib.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        params = [
            Param(f"{section}.{name}", str(value)[:LONGEST_PARAM]) for section, values in sections.items() for name, value in values.items()
        ]
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(self.run, params=params[start : start + MOST_PARAMS])

    def write(self, step: int, numbers: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        named = {FORBIDDEN.sub("_", name): value for name, value in numbers.items()}
        fresh = [Metric(name, float(value), now, step) for name, value in named.items() if step > self._last(name)]
        if fresh:
            self.client.log_batch(self.run, metrics=fresh)

    def _last(self, name: str) -> int:
        """The last step that an earlier start of this run has told of; what a roll-back makes again in this one is told again."""
        if name not in self.made:
            self.made[name] = max((metric.step for metric in self.client.get_metric_history(self.run, name)), default=-1)
        return self.made[name]

    def close(self, *, finished: bool) -> None:
        self.client.set_terminated(self.run, status="FINISHED" if finished else "KILLED")


def _experiment(client) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)


TRACKERS: dict[str, Callable[[Path], Tracker]] = {"tensorboard": TensorBoard, "mlflow": MlFlow}
