"""What an update makes small: the loss of the task, and what recipes make of it.

Each gives sums, as the engine wants them, on the scale of the plain loss: with a weight that nears 0 they near it.
"""

from collections.abc import Iterator

from torch import Tensor

from headway.config import Regularize
from headway.encoder import Encoder
from headway.engine import Loss
from headway.packing import Packed
from headway.tasks import Task


def objective(task: Task, regularize: Regularize) -> Loss:
    """The loss with the recipes that are asked for."""
    return r_drop(task, regularize.r_drop) if regularize.r_drop > 0 else plain(task)


def plain(task: Task) -> Loss:
    """What the targets of a batch cost, and nothing else."""

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        yield task.loss(encoder(batch), batch)

    return loss


def r_drop(task: Task, weight: float) -> Loss:
    """The mean cost of two answers under two masks of dropout, and `weight` times how far the two are apart.

    Source: Liang et al. 2021, arXiv:2106.14448; halved, as in their code.
    """

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        one, other = encoder(batch), encoder(batch)
        cost = (task.loss(one, batch) + task.loss(other, batch)) / 2
        yield cost + weight * task.divergence(one, other, batch)

    return loss
