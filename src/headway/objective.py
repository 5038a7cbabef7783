"""What an update makes small: the loss of the task, and what recipes make of it.

Each gives sums, as the engine wants them, on the scale of the plain loss: with a weight that nears 0 they near it.

Shape letters: T tokens in a batch, S sequences in a batch, L tokens of the longest of them, D width of an embedding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from headway.config import Distill, Regularize
from headway.encoder import Encoder
from headway.engine import Loss
from headway.losses import contrast, cross_entropy
from headway.packing import Packed
from headway.records import IGNORED
from headway.regularize import drop
from headway.tasks import Task

NO_TEACHERS = Distill()
Cost = Callable[[Tensor, Packed], Tensor]  # () the sum over the targets of a batch, of an answer to it as logits


def objective(task: Task, regularize: Regularize, distill: Distill = NO_TEACHERS) -> Loss:
    """The loss with the recipes that are asked for."""
    cost = distilled(task, distill) if distill.teachers and distill.weight > 0 else task.loss
    loss = plain(cost)
    if regularize.r_drop > 0:
        loss = r_drop(task, cost, regularize.r_drop)
    if regularize.head_samples > 1:
        loss = multi_sample(cost, regularize.head_samples, dropout=regularize.head_dropout)
    if regularize.adversarial > 0:
        return adversarial(loss, regularize.adversarial)
    if regularize.freelb > 0:
        return free_lb(loss, regularize.freelb, steps=regularize.freelb_steps)
    return loss


def plain(cost: Cost) -> Loss:
    """What an answer costs, and nothing else."""

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        yield cost(encoder(batch), batch)

    return loss


def distilled(task: Task, distill: Distill) -> Cost:
    """Partly what the targets of a batch cost, and partly how far an answer is from what teachers say.

    Source: Hinton et al. 2015, arXiv:1503.02531.
    """

    def cost(logits: Tensor, batch: Packed) -> Tensor:
        taught = task.imitation(logits, batch, temperature=distill.temperature)
        return (1 - distill.weight) * task.loss(logits, batch) + distill.weight * taught

    return cost


def masked_words(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
    """What it costs to tell the words that a network with a head for them reads at the targets of a batch."""
    yield cross_entropy(encoder(batch).float(), batch.targets_A[batch.targets_A != IGNORED])


def contrastive(temperature: float) -> Loss:
    """What it costs to tell by what the head reads which texts of a batch are of one class. All of an update has to be one batch."""

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        yield contrast(encoder.features(batch).float(), batch.targets_A, temperature=temperature)

    return loss


def r_drop(task: Task, cost: Cost, weight: float) -> Loss:
    """The mean cost of two answers under two masks of dropout, and `weight` times how far the two are apart.

    Source: Liang et al. 2021, arXiv:2106.14448; halved, as in their code.
    """

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        one, other = encoder(batch), encoder(batch)
        yield (cost(one, batch) + cost(other, batch)) / 2 + weight * task.divergence(one, other, batch)

    return loss


def multi_sample(cost: Cost, samples: int, *, dropout: float) -> Loss:
    """The mean cost of what the last layer answers to the same input under several masks of dropout, in the place of the head's own.

    All that lies below is computed once.

    Source: Inoue 2019, arXiv:1905.09788 (multi-sample dropout).
    """

    def loss(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        with _masks(encoder, samples, dropout):
            answers = encoder(batch).chunk(samples)
        yield sum(cost(answer, batch) for answer in answers) / samples

    return loss


@contextmanager
def _masks(encoder: Encoder, samples: int, dropout: float) -> Iterator[None]:
    """Have the last layer answer several times, one behind the other: each row of its input under a mask of its own."""
    hooks = [module.register_forward_hook(lambda _module, given, _out: given[0]) for module in encoder.head_dropouts()]
    hooks += [
        encoder.head().register_forward_pre_hook(lambda _, given: torch.cat([drop(given[0], dropout) for _ in range(samples)], dim=-2))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def adversarial(loss: Loss, radius: float) -> Loss:
    """The mean of a loss and of what it is where the embeddings of each window are pushed by `radius`, to where it grows fastest.

    The push follows the gradient that the engine leaves behind for the first of the two. It is made on what the embedding table
    gives, not in the table: so each window has its own, whatever is beside it, and the table is learned by rows as ever.

    Source: Miyato et al. 2017, arXiv:1605.07725 (the fast gradient method, FGM).
    """

    def both(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        read: list[Tensor] = []
        with _embeddings(encoder, lambda embedded: _watched(embedded, read)):
            yield from (cost / 2 for cost in loss(encoder, batch))
        push = _push(sum(embedded.grad for embedded in read), batch, radius)
        with _embeddings(encoder, lambda embedded: embedded + push):
            yield from (cost / 2 for cost in loss(encoder, batch))

    return both


def free_lb(loss: Loss, radius: float, *, steps: int) -> Loss:
    """The mean of a loss over passes in which the embeddings of each window climb to where it grows, never further than `radius` away.

    They begin at random, and go on after each pass by `radius / steps`, so that none is made for the push alone: each teaches. All have
    the same masks of dropout, or they would climb another slope each time. Our own choice is how far each step goes.

    Source: Zhu et al. 2020, arXiv:1909.11764 (FreeLB).
    """

    def climbing(encoder: Encoder, batch: Packed) -> Iterator[Tensor]:
        push = _push(torch.rand(_embedded_shape(encoder, batch), device=encoder.network.device) - 0.5, batch, radius / 3**0.5)
        masks = int(torch.randint(2**62, ()))
        for _ in range(steps):
            read: list[Tensor] = []
            torch.manual_seed(masks)
            with _embeddings(encoder, partial(_pushed, push=push, read=read)):
                yield from (cost / steps for cost in loss(encoder, batch))
            push = _inside(push + _push(sum(embedded.grad for embedded in read).float(), batch, radius / steps), batch, radius)

    return climbing


def _pushed(embedded: Tensor, *, push: Tensor, read: list[Tensor]) -> Tensor:
    return _watched(embedded + push.to(embedded.dtype), read)


def _embedded_shape(encoder: Encoder, batch: Packed) -> tuple[int, int, int]:
    """(1, T, D) of a packed call, (S, L, D) of a padded one."""
    width = encoder.network.get_input_embeddings().embedding_dim
    return (1, len(batch.sequence_T), width) if encoder.layout == "packed" else (len(batch.lengths), batch.longest, width)


@contextmanager
def _embeddings(encoder: Encoder, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Have the network go on from what `change` makes of its embeddings."""
    hook = encoder.network.get_input_embeddings().register_forward_hook(lambda _module, _inputs, embedded: change(embedded))
    try:
        yield
    finally:
        hook.remove()


def _watched(embedded: Tensor, read: list[Tensor]) -> Tensor:
    """The same embeddings, also those of a frozen table, whose gradient is kept."""
    embedded = embedded if embedded.requires_grad else embedded.detach().requires_grad_()
    embedded.retain_grad()
    read.append(embedded)
    return embedded


def _push(gradient: Tensor, batch: Packed, radius: float) -> Tensor:
    """The gradient at length `radius` in each sequence; (1, T, D) of a packed call, (S, L, D) of a padded one. None stays none."""
    return (radius * gradient.float() / _norms(gradient, batch)).to(gradient.dtype)


def _inside(push: Tensor, batch: Packed, radius: float) -> Tensor:
    """The same where it is no longer than `radius` in a sequence, and else of that length."""
    return push * (radius / _norms(push, batch)).clamp(max=1.0)


def _norms(embedded: Tensor, batch: Packed) -> Tensor:
    """The length of each sequence's part, over 0, to broadcast over it all."""
    squares = embedded.float().square().sum(dim=-1, keepdim=True)
    if len(squares) == 1 and squares.shape[1] == len(batch.sequence_T):
        squares_S1 = torch.zeros_like(squares[0, : len(batch.lengths)]).index_add_(0, batch.sequence_T, squares[0])
        norms = squares_S1.sqrt()[batch.sequence_T][None]
    else:
        norms = squares.sum(dim=1, keepdim=True).sqrt()
    return norms.clamp(min=torch.finfo(torch.float32).tiny)
