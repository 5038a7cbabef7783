"""The last run: the newest that was finished before this one, beside it, and scored on the same examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headway.errors import DataError
from headway.events import Estimate
from headway.jobs.compare import data_changes, key, same_examples, setting_changes
from headway.jobs.report.evidence import Evidence, estimate
from headway.jobs.run_folder import DATA, PREDICTIONS, PROVENANCE, SCORES, SETTINGS
from headway.jobs.scored import Example, read_run, score
from headway.metrics import Difference, differences, mcnemar, units


class Last(NamedTuple):
    """A run, and what has changed since."""

    name: str
    scores: dict[str, Estimate | float]
    difference: Difference  # in the main score
    won: int  # examples that are answered better now
    lost: int
    changes: list[str]


def find_last(evidence: Evidence) -> Last | None:
    """None where there was none: nothing finished, nothing earlier, or nothing on the same examples."""
    if evidence.part is None:
        return None
    for folder in _earlier(evidence):
        if _same_files(folder, evidence) and (found := _against(folder, evidence)) is not None:
            return found
    return None


def _earlier(evidence: Evidence) -> Iterator[Path]:
    """The finished runs beside this one that were started before it, the newest first."""
    beside = [path for path in evidence.folder.resolve().parent.iterdir() if _finished(path) and path != evidence.folder.resolve()]
    mine = _started(evidence.folder)
    yield from sorted((path for path in beside if _started(path) < mine), key=_started, reverse=True)


def _finished(path: Path) -> bool:
    return all((path / name).is_file() for name in (SCORES, PREDICTIONS, SETTINGS, DATA))


def _started(folder: Path) -> tuple[str, float]:
    """When, as it says itself, else by its first file."""
    return str(_object(folder / PROVENANCE).get("started", "")), (folder / SETTINGS).stat().st_mtime


def _object(path: Path) -> dict:
    """What a file of a neighbour holds; nothing where it is not there, or is not what we would have written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _same_files(folder: Path, evidence: Evidence) -> bool:
    """Whether the examples can be the same: cheap to ask, before predictions are read."""
    theirs = _object(folder / DATA)
    counts = [data.get("records", {}).get(evidence.part) for data in (theirs, evidence.data)]
    return counts[0] is not None and counts[0] == counts[1] and theirs.get("task") == evidence.data.get("task")


def _against(folder: Path, evidence: Evidence) -> Last | None:
    try:
        before, now = read_run(folder), read_run(evidence.folder)
        part, (old, new) = same_examples([before, now])
    except (DataError, ValueError):  # other examples, or a file that somebody has changed
        return None
    if part != evidence.part or {key(e.record) for e in new} != {key(e.record) for e in evidence.examples}:
        return None
    kept = _object(folder / SCORES).get(part, {})
    scores = {metric: estimate(value) for metric, value in kept.items() if isinstance(value, dict) and "value" in value}
    difference, won, lost = _difference(old, new, evidence.main)
    changes = [*setting_changes(before, now), *data_changes(before, now)]
    return Last(folder.name, scores, difference, won, lost, changes)


def _difference(old: list[Example], new: list[Example], main: str) -> tuple[Difference, int, int]:
    """As `headway compare` has it."""
    both = score([*old, *new])
    unit_N = units(example.record.unit for example in old)
    found = differences(both, unit_N)[None, main]
    old_N, new_N = np.split(both.each_N, 2)
    if main == "accuracy" and len(set(unit_N.tolist())) == len(unit_N):
        found = found._replace(p=mcnemar(old_N, new_N))
    return found, int(np.sum(new_N > old_N + 1e-9)), int(np.sum(new_N < old_N - 1e-9))
