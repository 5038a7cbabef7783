"""What a model answers, how often that is right, and what it leaves to a person."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from headway.decisions import coverage_curve
from headway.events import Said
from headway.records import Prediction, Record
from headway.tasks import Task

DIGITS = 6


class Coverage(NamedTuple):
    coverage: float  # the share of records that is answered
    precision: float | None  # the share of the answers that is right; None where nothing is answered
    curve: dict[str, list[float]]  # confidence, coverage and precision, from the surest answers alone to all


def measure_coverage(task: Task, records: Sequence[Record], predictions: Sequence[Prediction]) -> Coverage | None:
    """None for tasks whose predictions are not right or wrong as a whole."""
    right = task.right(records, predictions)
    if right is None:
        return None
    kept = [is_right for is_right, prediction in zip(right, predictions, strict=True) if not prediction.abstained]
    points = coverage_curve([prediction.confidence for prediction in predictions], right)
    columns = zip(("confidence", "coverage", "precision"), zip(*points, strict=True), strict=True)
    curve = {name: [round(number, DIGITS) for number in column] for name, column in columns}
    return Coverage(len(kept) / len(right), sum(kept) / len(kept) if kept else None, curve)


def coverage_json(task: Task, measured: dict[str, Coverage | None]) -> dict:
    """By part, as `scores.json` holds it; empty where there is nothing to hold."""
    parts = {part: found._asdict() for part, found in measured.items() if found is not None}
    asked = {} if task.precision is None else {"least_confidence": task.least_confidence}
    return {"coverage": {part: asked | found for part, found in parts.items()}} if parts else {}


def say_coverage(task: Task, measured: dict[str, Coverage | None]) -> Iterator[Said]:
    """One sentence, where a precision was asked for."""
    if task.precision is None:
        return
    answered = {part: found for part, found in measured.items() if found is not None and found.precision is not None}
    if not answered:
        text = f"from everything: no confidence gives {task.precision:.1%} for sure; ask for less, or label more"
        yield Said("abstains", text, warning=True)
        return
    shares = ", ".join(f"{found.coverage:.0%} of {part} at {found.precision:.1%} precision" for part, found in answered.items())
    yield Said("abstains", f"below a confidence of {task.least_confidence:.2f}: answers {shares}")
