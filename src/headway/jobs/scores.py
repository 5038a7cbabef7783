"""Scores as `scores.json` holds them, and as a table shows them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from headway.config import Report
from headway.events import Estimate, Scored
from headway.jobs.corpus import Values
from headway.metrics import SLICES, Scores, Slice, by_value, slice_scores
from headway.records import Prediction, Record

if TYPE_CHECKING:
    from headway.tasks import Task  # of which only the name is needed here: a report is made without torch

Sliced = dict[str, dict[str, Slice]]  # what is sliced by -> the values it has

IN_DETAIL = {  # left to scores.json, so that a table fits on a screen
    *("exact_precision", "exact_recall", "exact_f1", "partial_precision", "partial_recall", "type_precision", "type_recall"),
    *("weighted_f1", "absent_labels", "ece", "brier"),
}
OF_EACH = ("precision", "recall", "f1", "partial_f1", "type_f1", "average_precision", "support")
MOST_EACH = 20  # classes or types that a table shows by themselves
MOST_WEAK = 5  # slices that a table shows


def scores_json(parts: Mapping[str, Scores], slices: Mapping[str, Sliced]) -> dict:
    """By part, every metric with its interval; then the metric that decides, each class or type and each slice by itself, and a reliability
    diagram."""
    return {part: {metric: _value(scores, metric, value) for metric, value in scores.values.items()} for part, scores in parts.items()} | {
        "main": {part: scores.main for part, scores in parts.items()},
        "by_label": {
            part: {
                label: {metric: _value(scores, metric, value, label) for metric, value in row.items()}
                for label, row in scores.by_label.items()
            }
            for part, scores in parts.items()
        },
        "reliability": {part: [of_bin._asdict() for of_bin in scores.reliability] for part, scores in parts.items() if scores.reliability},
        "slices": {
            part: {name: {value: of._asdict() for value, of in by_value.items()} for name, by_value in of_part.items()}
            for part, of_part in slices.items()
        },
    }


def _value(scores: Scores, metric: str, value: float, label: str | None = None) -> dict[str, float]:
    bounds = scores.interval(metric, label)
    return {"value": value, "low": bounds[0], "high": bounds[1]} if bounds else {"value": value}


def overall_row(scores: Scores) -> dict[str, float | Estimate]:
    """What a table shows of all records together; scores.json has the rest."""
    return {metric: _estimate(scores, metric, scores.values[metric]) for metric in shown_metrics(scores.values)}


def shown_metrics(metrics: Collection[str]) -> list[str]:
    """Those of which a table has a column."""
    repeated = {"micro_f1"} if "accuracy" in metrics else set()  # of one class a record they are the same
    return [metric for metric in metrics if metric not in IN_DETAIL | repeated]


def label_rows(scores: Scores) -> dict[str, dict[str, float | Estimate]]:
    """What a table shows of each class or entity type: F1 with its interval. Nothing where there are too many of them, or one."""
    if not 1 < len(scores.by_label) <= MOST_EACH:
        return {}
    return {
        label: {
            metric: _estimate(scores, metric, row[metric], label) if metric == "f1" else row[metric] for metric in OF_EACH if metric in row
        }
        for label, row in scores.by_label.items()
    }


def _estimate(scores: Scores, metric: str, value: float, label: str | None = None) -> float | Estimate:
    bounds = scores.interval(metric, label)
    return Estimate(value, *bounds) if bounds else value


# --- slices


def sliced(task: "Task", records: Sequence[Record], predictions: Sequence[Prediction], report: Report, columns: Values) -> Sliced:
    """The scores of the slices that `report.slices` asks for, and there are two or more of."""
    names = [name.strip() for name in report.slices.split(",") if name.strip()]
    members = {n: SLICES[n](records) if n in SLICES else by_value([columns[n].get(record.where, "") for record in records]) for n in names}
    found = {name: slice_scores(task.score, records, predictions, of_name) for name, of_name in members.items()}
    return {name: of_name for name, of_name in found.items() if len(of_name) > 1}


def weak(scores: Scores, slices: Sliced, *, title: str) -> Iterator[Scored]:
    """A table of the slices whose whole interval is worse than the score of all records, the worst first; nothing where there is none."""
    found = []
    for name, of_name in slices.items():
        for value, of_value in of_name.items():
            overall = scores.values[of_value.metric]
            worse = overall - of_value.high if of_value.metric != "mae" else of_value.low - overall
            if worse > 0:
                found.append((abs(overall - of_value.value), f"{name}: {value}", of_value))
    rows = {
        name: {of.metric: Estimate(of.value, of.low, of.high), "records": of.records}
        for _, name, of in sorted(found, key=lambda row: -row[0])[:MOST_WEAK]
    }
    if rows:
        yield Scored(title, rows)
