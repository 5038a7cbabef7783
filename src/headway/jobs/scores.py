"""Scores as files hold them."""

from headway.metrics import Scores


def scores_json(scores: Scores) -> dict:
    """What `scores.json` holds of one part; what each number is has room for its interval."""
    return {
        "main": scores.main,
        "scores": {name: {"value": value} for name, value in scores.values.items()},
        "by_label": scores.by_label,
    }
