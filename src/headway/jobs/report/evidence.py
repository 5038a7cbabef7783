"""All that a run folder knows of its run: what a report is made from, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headway.errors import ConfigError, DataError, did_you_mean
from headway.events import Estimate
from headway.folders import DESCRIPTION
from headway.jobs.run_folder import DATA, EVALUATIONS, MODEL, PREDICTIONS, PROVENANCE, SCORES, SEEDS, SETTINGS, STEPS
from headway.jobs.scored import Example, read_examples, read_object, read_settings

PARTS = ("test", "dev")  # which one the report is about, where there are both


@dataclass(frozen=True)
class Evidence:
    """What was found; what an older run has not written down is empty."""

    folder: Path
    settings: dict[str, dict]
    data: dict
    scores: dict
    steps: list[dict]
    evaluations: list[dict]
    provenance: dict
    model: dict  # headway.json of the model folder
    parts: dict[str, list[Example]]
    seeds: dict = field(
        default_factory=dict
    )  # of several trainings that differ by their seed alone, of which this is the one that was kept
    missing: tuple[str, ...] = ()  # files that are not there

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def part(self) -> str | None:
        """The part that the report is about: nothing was chosen by it where it is test. None where nothing was scored."""
        return next((part for part in PARTS if part in self.scores.get("main", {})), None)

    @property
    def main(self) -> str:
        return self.scores["main"][self.part]

    @property
    def examples(self) -> list[Example]:
        return self.parts.get(self.part, [])

    @property
    def seed(self) -> int | None:
        """That the model was trained with."""
        return self.seeds.get("kept", self.settings.get("train", {}).get("seed"))

    def score(self, metric: str, part: str | None = None) -> Estimate | float | None:
        return estimate(self.scores[part or self.part].get(metric))

    def of_part(self, name: str) -> dict:
        """What `scores.json` says under this name of the part that the report is about: "by_label", "slices", "worth", ..."""
        return self.scores.get(name, {}).get(self.part) or {}

    def baselines(self, part: str | None = None) -> dict[str, dict[str, Estimate | float]]:
        """What each scores on a part, with its interval where the run has kept it."""
        values, bounds = (self.scores.get(name, {}).get(part or self.part) or {} for name in ("baselines", "baseline_intervals"))
        return {name: _with_bounds(row, bounds.get(name, {})) for name, row in values.items()}

    @property
    def data_name(self) -> str:
        path = self.data.get("files", {}).get("train", {}).get("path") or self.settings.get("data", {}).get("train", "")
        return Path(path).name


def estimate(found: Mapping[str, float] | None) -> Estimate | float | None:
    """A number of `scores.json`, with its interval where it has one."""
    if found is None:
        return None
    return Estimate(found["value"], found["low"], found["high"]) if "low" in found else found["value"]


def _with_bounds(values: Mapping[str, float], bounds: Mapping[str, Sequence[float]]) -> dict[str, Estimate | float]:
    return {metric: Estimate(value, *bounds[metric]) if metric in bounds else value for metric, value in values.items()}


def number(value: Estimate | float) -> float:
    return value.value if isinstance(value, Estimate) else value


def gather(folder: Path) -> Evidence:
    """
    Raises:
        ConfigError: it is no run, or one that has not finished.
        DataError: a file of it cannot be read.
    """
    if not (folder / SETTINGS).is_file():
        near = did_you_mean(folder.name, [other.name for other in folder.parent.glob("*")]) if folder.parent.is_dir() else ""
        raise ConfigError(f"{folder}: " + (f"not a run: there is no {SETTINGS} in it" if folder.is_dir() else f"no such folder{near}"))
    if not (folder / SCORES).is_file():
        raise ConfigError(f"{folder}: the run has not finished; go on with it: headway train --resume {folder}")
    described = folder / MODEL / DESCRIPTION
    wanted = (DATA, STEPS, EVALUATIONS, PROVENANCE, PREDICTIONS)
    return Evidence(
        folder=folder,
        settings=read_settings(folder),
        data=read_object(folder / DATA),
        scores=read_object(folder / SCORES),
        steps=_lines(folder / STEPS),
        evaluations=_lines(folder / EVALUATIONS),
        provenance=read_object(folder / PROVENANCE),
        model=read_object(described),
        parts=read_examples(folder / PREDICTIONS) if (folder / PREDICTIONS).is_file() else {},
        seeds=read_object(folder / SEEDS),
        missing=tuple(name for name in wanted if not (folder / name).is_file()),
    )


def _lines(path: Path) -> list[dict]:
    """By step, in order; of two of the same step the later."""
    if not path.is_file():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return sorted({row["step"]: row for row in rows}.values(), key=lambda row: row["step"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not a log of steps; the file has been damaged") from None
