"""What has been found of candidates, in a folder: a line for each look at features and for each training, and the plan they follow."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from headway.errors import ConfigError
from headway.events import Estimate
from headway.folders import write_text

TRIED = "tried.jsonl"
PLAN = "plan.json"
TRAINED = "trained"  # a folder for each training, with the predictions that earned its score


@dataclass(frozen=True)
class Judged:
    """What the frozen features of a candidate explain; None where a task has none to look at."""

    candidate: str
    parameters: int
    explained: float | None  # share of what people say, after paying for every weight; at most 1
    logme: float | None
    layer: int | None  # whose features these are, counted from 1
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A short training of a candidate, and its score on dev."""

    candidate: str
    records: int  # learned from
    metric: str
    score: Estimate
    texts_per_second: float  # learned from
    seconds: float  # all of it
    folder: str  # of its predictions, below `TRAINED`


@dataclass(frozen=True)
class Rung:
    """A round in which `field` candidates learn from so many records."""

    records: int
    field: int


@dataclass(frozen=True)
class Plan:
    """What is done in which order; kept, so that the same command goes on with the same."""

    candidates: list[str]
    rungs: list[Rung]


def read_judged(folder: Path) -> dict[str, Judged]:
    return {row["candidate"]: Judged(**row) for row in _rows(folder) if "logme" in row}


def read_trained(folder: Path) -> dict[tuple[str, int], Trained]:
    """By candidate and records."""
    rows = (row | {"score": Estimate(*row["score"])} for row in _rows(folder) if "metric" in row)
    return {(row["candidate"], row["records"]): Trained(**row) for row in rows}


def keep(folder: Path, found: Judged | Trained) -> None:
    """Add a line, after one that may have been cut short."""
    path = folder / TRIED
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(asdict(found), ensure_ascii=False) + "\n")


def read_plan(folder: Path) -> Plan | None:
    if not (folder / PLAN).is_file():
        return None
    kept = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    return Plan(kept["candidates"], [Rung(**rung) for rung in kept["rungs"]])


def keep_plan(folder: Path, plan: Plan) -> None:
    write_text(folder / PLAN, json.dumps(asdict(plan), indent=1, ensure_ascii=False))


def check_same_candidates(folder: Path, candidates: Sequence[str]) -> None:
    """Raise ConfigError where others were ranked there."""
    plan = read_plan(folder)
    if plan is not None and plan.candidates != list(candidates):
        raise ConfigError(f"{folder}: ranks {', '.join(plan.candidates)}, now {', '.join(candidates)}; choose another --out")


def _rows(folder: Path) -> list[dict]:
    """A last line that was cut short by a crash is none."""
    lines = (folder / TRIED).read_text(encoding="utf-8").splitlines() if (folder / TRIED).is_file() else []
    found = []
    for line in lines:
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
