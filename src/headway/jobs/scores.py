"""Scores as `scores.json` holds them."""

from collections.abc import Mapping

from headway.metrics import Scores


def scores_json(parts: Mapping[str, Scores]) -> dict:
    """By part, the value of every metric; then the metric that decides, and the scores of each class or entity type."""
    return {part: {metric: {"value": value} for metric, value in scores.values.items()} for part, scores in parts.items()} | {
        "main": {part: scores.main for part, scores in parts.items()},
        "by_label": {part: scores.by_label for part, scores in parts.items()},
    }
