"""The one loop: `fit` learns, `predict` answers. Both are generators; the caller prints, saves and stops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.backend import pick_token_budget
from headway.encoder import Encoder
from headway.optimize import Optimizer
from headway.packing import Order, Packed, count_targets, pack, pieces
from headway.records import Window

Loss = Callable[[Encoder, Packed], Iterator[Tensor]]  # () sums over targets; each is gone back through before the next is asked for
Decide = Callable[[Tensor, Packed], list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Step:
    """One update that has been made. Tensors, so that nobody waits for a GPU who does not look."""

    number: int  # from 1
    loss: Tensor  # () mean over the targets of the update
    gradient_norm: Tensor  # () before clipping
    learning_rate: float
    tokens: int


def fit(encoder: Encoder, windows: Sequence[Window], *, optimizer: Optimizer, order: Order, loss: Loss, start: int = 0) -> Iterator[Step]:
    """Learn from windows, one update a turn, from update `start` (counted from 0) to the optimiser's last.

    What is learned depends on neither how an update is cut into pieces nor where a run was interrupted, but for dropout, whose masks
    are a function of the seed, the update and the piece.
    """
    budget = pick_token_budget(optimizer.train.token_budget, encoder.network.device)
    for step in range(start, optimizer.steps):
        encoder.train()
        update = [windows[position] for position in order.update(step)]
        optimizer.begin(step, update)
        targets = max(count_targets(update), 1)
        total = torch.zeros((), device=encoder.network.device)
        for number, piece in enumerate(pieces(update, token_budget=budget)):
            torch.manual_seed(_mask_seed(order.seed, step, number))
            batch = pack([update[position] for position in piece]).to(encoder.network.device)
            for cost in loss(encoder, batch):
                mean = cost / targets
                mean.backward()
                optimizer.accumulate()
                total += mean.detach()
        norm = optimizer.step(step)
        yield Step(step + 1, total, norm, optimizer.learning_rate(step), sum(map(len, update)))


def _mask_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def predict(encoder: Encoder, windows: Sequence[Window], *, decide: Decide, token_budget: int) -> Iterator[np.ndarray]:
    """What `decide` makes of every window, in order. Windows of similar length are read together."""
    encoder.network.eval()
    answers: list[np.ndarray | None] = [None] * len(windows)
    packed = ((piece, pack([windows[position] for position in piece])) for piece in pieces(windows, token_budget=token_budget))
    with torch.inference_mode():
        following = next(packed, None)
        while following:
            piece, batch = following
            logits = encoder(batch)
            following = next(packed, None)  # while a GPU is still at this one: `decide` waits for it
            for position, answer in zip(piece, decide(logits, batch), strict=True):
                answers[position] = answer
    yield from answers
