"""Scores as `scores.json` holds them, and as a table shows them."""

from collections.abc import Mapping

from headway.events import Estimate
from headway.metrics import Scores

IN_DETAIL = ("exact_precision", "exact_recall", "partial_precision", "partial_recall", "type_precision", "type_recall", "absent_labels")
OF_EACH = ("precision", "recall", "f1", "partial_f1", "type_f1", "average_precision", "support")
MOST_EACH = 20  # classes or types that a table shows by themselves


def scores_json(parts: Mapping[str, Scores]) -> dict:
    """By part, every metric with its interval; then the metric that decides, each class or type by itself, and a reliability diagram."""
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
    }


def _value(scores: Scores, metric: str, value: float, label: str | None = None) -> dict[str, float]:
    bounds = scores.interval(metric, label)
    return {"value": value, "low": bounds[0], "high": bounds[1]} if bounds else {"value": value}


def overall_row(scores: Scores) -> dict[str, float | Estimate]:
    """What a table shows of all records together; scores.json has the rest."""
    return {metric: _estimate(scores, metric, value) for metric, value in scores.values.items() if metric not in IN_DETAIL}


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
