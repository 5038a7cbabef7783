"""A linear head fitted on frozen features: the answer without fine-tuning, and a better start for it than a random layer.

Shape letters: W windows, N tokens of a window, T tokens of all, L layers, R rows of a batch, D width of what the last linear layer reads,
C its outputs.

Source: Kumar et al. 2022, arXiv:2202.10054 (linear probing, then fine-tuning).
"""

from collections.abc import Sequence
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor, nn

from headway import engine
from headway.events import Worked, Working, unwatched
from headway.folders import UNFINISHED
from headway.model import Model
from headway.packing import Packed, count_targets, pack
from headway.records import Window
from headway.tasks import Task

MOST_WINDOWS = 20_000
MOST_TOKENS = 100_000  # whose features are held at once: 150 MB at a width of 384
STRIDE = 256  # windows between two words of progress
STRENGTH = 1.0  # inverse of the penalty, of logistic regression on rows of length `MEAN_NORM`
PENALTY = 1e-3  # a target, of a layer on features of tokens that vary by 1
ROUNDS = 100  # of L-BFGS at most
STILL = 1e-6  # a feature that varies by less is the same everywhere


def fit_head(model: Model, windows: Sequence[Window], *, seed: int, most_tokens: int | None = None) -> None:
    """Put the best linear layer for the network as it stands into its head; of many windows, or tokens, a seeded sample decides."""
    unwatched(fitting_head(model, windows, seed=seed, most_tokens=most_tokens))


def fitting_head(model: Model, windows: Sequence[Window], *, seed: int, most_tokens: int | None = None) -> Working[None]:
    """The same, and how far it has come."""
    of_sentences = model.task.name == "classification"
    sample = _sampled(windows, seed=seed, most_tokens=most_tokens if of_sentences else min(most_tokens or MOST_TOKENS, MOST_TOKENS))
    head = model.encoder.head()
    read = yield from reading_features(model, sample)
    fitted = fit_layer(model.task, read, sample, outputs=head.out_features)
    with torch.no_grad():
        for weight, found in zip((head.weight, head.bias), fitted, strict=True):
            weight.copy_(torch.from_numpy(found))


def _sampled(windows: Sequence[Window], *, seed: int, most_tokens: int | None) -> list[Window]:
    """In their order; one at least."""
    chosen = np.random.default_rng(seed).permutation(len(windows))[:MOST_WINDOWS]
    if most_tokens is not None:
        within = np.cumsum([len(windows[position]) for position in chosen]) <= most_tokens
        chosen = chosen[: max(int(within.sum()), 1)]
    return [windows[position] for position in sorted(chosen)]


def keep_head(model: Model, path: Path) -> None:
    """Put the head by as it is, before training changes it; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}{UNFINISHED}")
    save_file({name: weight.detach().float().clone() for name, weight in model.encoder.head().state_dict().items()}, beside)
    beside.replace(path)


def restore_head(model: Model, path: Path) -> None:
    model.encoder.head().load_state_dict(load_file(path))


def fit_layer(
    task: Task, features: np.ndarray | Sequence[np.ndarray], windows: Sequence[Window], *, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, D) and bias (C) of the best linear layer on what `features` gives of these windows."""
    if task.name == "classification":
        return fit_linear(task.kind, features, windows, outputs=outputs)
    return fit_tokens(task, features, windows, outputs=outputs)


def fit_linear(kind: str, features_WD: np.ndarray, windows: Sequence[Window], *, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, D) and bias (C) of the best linear layer on these features; `kind` is that of the `Classification`."""
    return _FITS[kind](features_WD, np.concatenate([window.targets_A for window in windows]), outputs)


def fit_tokens(task: Task, features: Sequence[np.ndarray], windows: Sequence[Window], *, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, D) and bias (C) of the layer on these features of tokens, (N, D) of each window, that makes the loss of the task least.

    The loss is convex in them, so it is the same whatever it starts from.
    """
    rows_TD = torch.from_numpy(np.concatenate(features))
    mean_D, spread_D = rows_TD.mean(dim=0), rows_TD.std(dim=0, correction=0)
    scale_D = torch.where(spread_D > STILL, spread_D, 1.0)
    rows_TD = (rows_TD - mean_D) / scale_D
    batch, targets = pack(windows), max(count_targets(windows), 1)
    layer = nn.Linear(rows_TD.shape[1], outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=ROUNDS, tolerance_change=1e-6, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimizer.zero_grad()
        loss = task.loss(layer(rows_TD), batch) / targets + PENALTY / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(cost)
    weight_CD = layer.weight.detach() / scale_D
    return weight_CD.numpy(), (layer.bias.detach() - weight_CD @ mean_D).numpy()


def features(model: Model, windows: Sequence[Window]) -> np.ndarray | list[np.ndarray]:
    """What the last linear layer reads: (W, D) of a sentence head; of a token head an (N, D) for every window."""
    return unwatched(reading_features(model, windows))


def reading_features(model: Model, windows: Sequence[Window]) -> Working[np.ndarray | list[np.ndarray]]:
    """The same, and how far it has come."""
    read, found = [], []
    hook = model.encoder.head().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].float().cpu().numpy()))

    def of_windows(_logits: Tensor, batch: Packed) -> list[np.ndarray]:
        rows = read.pop()
        return np.split(rows[0], np.cumsum(batch.lengths)[:-1]) if rows.ndim == 3 else list(rows)

    try:
        for row in engine.predict(model.encoder, windows, decide=of_windows, token_budget=model.token_budget):
            if len(found) % STRIDE == 0:
                yield Worked("reading features", len(found), len(windows), "windows")
            found.append(row)
    finally:
        hook.remove()
    return np.stack(found) if found and found[0].ndim == 1 else found


def reading_layers(model: Model, windows: Sequence[Window], layers: Sequence[int]) -> Working[list[np.ndarray]]:
    """What each of some layers, counted from 1, says of every window: (L, D) by a sentence head's pooling, (L, N, D) of a token head."""
    per_token = model.task.name != "classification"
    found: list[np.ndarray] = []
    with model.encoder.watching(layers) as states:

        def of_windows(_logits: Tensor, batch: Packed) -> list[np.ndarray]:
            states_LRD = np.stack([state.float().cpu().numpy() for state in states])
            return np.split(states_LRD, np.cumsum(batch.lengths)[:-1], axis=1) if per_token else list(states_LRD.swapaxes(0, 1))

        for row in engine.predict(model.encoder, windows, decide=of_windows, token_budget=model.token_budget):
            if len(found) % STRIDE == 0:
                yield Worked("reading features", len(found), len(windows), "windows")
            found.append(row)
    return found


def _fit_classes(features_WD: np.ndarray, targets_W: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """A class that no window of the sample is of keeps a row of zeros, below all others."""
    weight_CD, bias_C = np.zeros((outputs, features_WD.shape[1])), np.zeros(outputs)
    if np.ptp(targets_W) == 0:
        return weight_CD, bias_C
    fitted = _logistic(features_WD, targets_W)
    rows, biases = fitted.coef_, fitted.intercept_
    if len(rows) == 1:
        rows, biases = np.vstack([-rows, rows]) / 2, np.concatenate([-biases, biases]) / 2
    weight_CD[fitted.classes_] = rows
    bias_C[:] = biases.min()
    bias_C[fitted.classes_] = biases
    return weight_CD, bias_C


def _logistic(features_WD: np.ndarray, targets_W: np.ndarray) -> LogisticRegression:
    with catch_warnings(action="ignore", category=ConvergenceWarning):  # near enough
        return LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(features_WD, targets_W)


def _fit_label_sets(features_WD: np.ndarray, targets_WC: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """A label that all windows of the sample have, or none, keeps a row of zeros and the bias of its share."""
    weight_CD = np.zeros((outputs, features_WD.shape[1]))
    bias_C = logit((targets_WC.sum(axis=0) + 1) / (len(targets_WC) + 2))
    for column in np.flatnonzero(np.ptp(targets_WC, axis=0)):
        fitted = _logistic(features_WD, targets_WC[:, column])
        weight_CD[column], bias_C[column] = fitted.coef_[0], fitted.intercept_[0]
    return weight_CD, bias_C


def _fit_numbers(features_WD: np.ndarray, targets_W1: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    fitted = Ridge(alpha=1 / STRENGTH).fit(features_WD, targets_W1[:, 0])
    return fitted.coef_[None], np.array([fitted.intercept_])


_FITS = {"single": _fit_classes, "multi": _fit_label_sets, "number": _fit_numbers}
