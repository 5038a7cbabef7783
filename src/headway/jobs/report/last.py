"""The last run: the newest that was finished before this one, beside it, and scored on the same examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from headway.errors import DataError
from headway.events import Estimate
from headway.jobs.compare import data_changes, held_against, key, same_examples, setting_changes
from headway.jobs.report.evidence import Evidence, estimate
from headway.jobs.run_folder import DATA, PREDICTIONS, PROVENANCE, SCORES, SETTINGS
from headway.jobs.scored import read_run
from headway.metrics import Difference


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
    mine = evidence.folder.resolve()
    now = _started(mine)
    if now is not None:
        started = {path: when for path in _beside(mine) if (when := _started(path)) is not None and when < now}
        yield from sorted(started, key=started.get, reverse=True)


def _beside(folder: Path) -> list[Path]:
    try:
        return list(folder.parent.iterdir())
    except OSError:  # we may not look
        return []


def _started(folder: Path) -> tuple[str, float] | None:
    """When a finished run was started, as it says itself, else by its first file; None where it is none, or we may not look."""
    try:
        if not all((folder / name).is_file() for name in (SCORES, PREDICTIONS, SETTINGS, DATA)):
            return None
        return str(_object(folder / PROVENANCE).get("started", "")), (folder / SETTINGS).stat().st_mtime
    except OSError:
        return None


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
    except (DataError, ValueError, OSError):  # other examples, or a file that somebody has changed or does not let us read
        return None
    if part != evidence.part or {key(e.record) for e in new} != {key(e.record) for e in evidence.examples}:
        return None
    kept = _object(folder / SCORES).get(part, {})
    scores = {metric: estimate(value) for metric, value in kept.items() if isinstance(value, dict) and "value" in value}
    against = held_against(old, new)
    if evidence.main not in against.differences:  # one of the two has no such score
        return None
    changes = [*setting_changes(before, now), *data_changes(before, now)]
    return Last(folder.name, scores, against.differences[evidence.main], len(against.won), len(against.lost), changes)
