"""A linear head fitted on frozen features: the answer without fine-tuning, and a better start for it than a random layer.

Shape letters: W windows, D width of what the last linear layer reads, C its outputs.

Source: Kumar et al. 2022, arXiv:2202.10054 (linear probing, then fine-tuning).
"""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from headway import engine
from headway.model import Model
from headway.records import Window
from headway.tasks.classification import Classification

MOST_WINDOWS = 20_000
STRENGTH = 1.0  # inverse of the penalty, of logistic regression on rows of length `MEAN_NORM`


def fit_head(model: Model, windows: Sequence[Window], *, seed: int) -> None:
    """Put the best linear layer for the network as it stands into its head; of many windows a seeded sample decides.

    Sentence heads only: `model.task` is a `Classification`.
    """
    chosen = np.random.default_rng(seed).permutation(len(windows))[:MOST_WINDOWS]
    sample = [windows[position] for position in sorted(chosen)]
    features_WD = _features(model, sample)
    targets = np.concatenate([window.targets_A for window in sample])
    weight_CD, bias_C = _FITS[model.task.kind](features_WD, targets)
    head = model.encoder.head()
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight_CD))
        head.bias.copy_(torch.from_numpy(bias_C))


def _features(model: Model, windows: Sequence[Window]) -> np.ndarray:
    """What the last linear layer reads, for every window."""
    read = []
    hook = model.encoder.head().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].float().cpu().numpy()))
    try:
        found = engine.predict(model.encoder, windows, decide=lambda _logits, _batch: list(read.pop()), token_budget=model.token_budget)
        return np.stack(list(found))
    finally:
        hook.remove()


def _fit_classes(features_WD: np.ndarray, targets_W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(features_WD, targets_W)
    if len(fitted.classes_) > 2:
        return fitted.coef_, fitted.intercept_
    return np.vstack([-fitted.coef_, fitted.coef_]) / 2, np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2


def _fit_label_sets(features_WD: np.ndarray, targets_WC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fits = [LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(features_WD, column_W) for column_W in targets_WC.T]
    return np.concatenate([fit.coef_ for fit in fits]), np.concatenate([fit.intercept_ for fit in fits])


def _fit_numbers(features_WD: np.ndarray, targets_W1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fitted = Ridge(alpha=1 / STRENGTH).fit(features_WD, targets_W1[:, 0])
    return fitted.coef_[None], np.array([fitted.intercept_])


_FITS = {"single": _fit_classes, "multi": _fit_label_sets, "number": _fit_numbers}
