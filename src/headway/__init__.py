"""Fine-tune pretrained language models on your own labelled text.

>>> import headway
>>> run = headway.train("reviews.csv")        # doctest: +SKIP
>>> model = headway.load(run)                 # doctest: +SKIP
>>> model.predict(["Two hours I want back."]) # doctest: +SKIP
[Prediction(label='negative', confidence=0.97)]
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.api import claims, forecast, models, rank_models, train, tune
    from headway.errors import HeadwayError
    from headway.model import Model, load
    from headway.records import Prediction, Record, Span

_HOME = {
    "HeadwayError": "headway.errors",
    "Model": "headway.model",
    "Prediction": "headway.records",
    "Record": "headway.records",
    "Span": "headway.records",
    "claims": "headway.api",
    "forecast": "headway.api",
    "load": "headway.model",
    "models": "headway.api",
    "rank_models": "headway.api",
    "train": "headway.api",
    "tune": "headway.api",
}

__all__ = ["HeadwayError", "Model", "Prediction", "Record", "Span", "claims", "forecast", "load", "models", "rank_models", "train", "tune"]


def __getattr__(name: str):
    """Public names are imported when they are first used, so that `headway --help` does not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'headway' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
