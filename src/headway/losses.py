"""What a task's targets cost: sums over targets, to be divided once, by the engine.

Shape letters: A targets, C classes, S sequences, D width; the shape of a sum is ().
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from headway.records import IGNORED

SUREST = 1e-12  # of what is left to a sure answer: below, the slope of a power under 1 has no bound


def cross_entropy(
    logits_AC: Tensor, targets_A: Tensor, *, weights_C: Tensor | None = None, smoothing: float = 0.0, focal_gamma: float = 0.0
) -> Tensor:
    """() how unlikely the targets are, one class each; what is IGNORED is left out.

    With `focal_gamma`, a target that is given the probability p counts (1 - p)^gamma times as much, so that what is known already
    teaches less.

    Source: Lin et al. 2017, arXiv:1708.02002 (focal loss).
    """
    if focal_gamma == 0:
        return F.cross_entropy(logits_AC, targets_A, weight=weights_C, label_smoothing=smoothing, reduction="sum")
    losses_A = F.cross_entropy(logits_AC, targets_A, weight=weights_C, label_smoothing=smoothing, reduction="none")
    return (_focus(F.cross_entropy(logits_AC, targets_A, reduction="none"), focal_gamma) * losses_A).sum()


def binary_cross_entropy(
    logits_AC: Tensor, targets_AC: Tensor, *, weights_C: Tensor | None = None, smoothing: float = 0.0, focal_gamma: float = 0.0
) -> Tensor:
    """() the same where each class is there or not by itself; `weights_C` are of those that are there."""
    smoothed_AC = targets_AC * (1 - smoothing) + smoothing / 2
    if focal_gamma == 0:
        return F.binary_cross_entropy_with_logits(logits_AC, smoothed_AC, pos_weight=weights_C, reduction="sum")
    losses_AC = F.binary_cross_entropy_with_logits(logits_AC, smoothed_AC, pos_weight=weights_C, reduction="none")
    return (_focus(F.binary_cross_entropy_with_logits(logits_AC, targets_AC, reduction="none"), focal_gamma) * losses_AC).sum()


def _focus(surprise: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma of targets with the negative log probability `surprise`."""
    return (-torch.expm1(-surprise)).clamp(min=SUREST) ** gamma


def imitation(logits_AC: Tensor, taught_AC: Tensor, *, temperature: float) -> Tensor:
    """() how far an answer is from probabilities that teachers give, by Kullback and Leibler, both at a temperature.

    Times its square, as its gradient falls with that.

    Source: Hinton et al. 2015, arXiv:1503.02531.
    """
    return temperature**2 * F.kl_div(F.log_softmax(logits_AC / temperature, dim=-1), taught_AC, reduction="sum")


def binary_imitation(logits_AC: Tensor, taught_AC: Tensor, *, temperature: float) -> Tensor:
    """() the same where each class is there or not by itself."""
    two_AC2 = torch.stack([logits_AC, torch.zeros_like(logits_AC)], dim=-1)
    return imitation(two_AC2, torch.stack([taught_AC, 1 - taught_AC], dim=-1), temperature=temperature)


def contrast(rows_SD: Tensor, targets_S: Tensor, *, temperature: float) -> Tensor:
    """() how unlikely it is that each row is taken for one of its class, by the cosines between it and all others.

    The mean over those of its class; a row that is the only one of its class costs nothing.

    Source: Khosla et al. 2020, arXiv:2004.11362 (supervised contrastive loss, the sum outside of the logarithm).
    """
    directions_SD = F.normalize(rows_SD, dim=-1)
    itself_SS = torch.eye(len(rows_SD), dtype=torch.bool, device=rows_SD.device)
    alike_SS = (targets_S[:, None] == targets_S) & ~itself_SS
    nearness_SS = directions_SD @ directions_SD.T / temperature
    surprise_SS = nearness_SS.masked_fill(itself_SS, -torch.inf).logsumexp(dim=1, keepdim=True) - nearness_SS
    return ((surprise_SS * alike_SS).sum(dim=1) / alike_SS.sum(dim=1).clamp(min=1)).sum()


def divergence(one_AC: Tensor, other_AC: Tensor, targets_A: Tensor) -> Tensor:
    """() how far two answers to the same targets are apart: the mean of the Kullback-Leibler divergences both ways."""
    log_one_AC, log_other_AC = F.log_softmax(one_AC, dim=-1), F.log_softmax(other_AC, dim=-1)
    apart_A = ((log_one_AC.exp() - log_other_AC.exp()) * (log_one_AC - log_other_AC)).sum(dim=-1) / 2
    return (apart_A * (targets_A != IGNORED)).sum()


def binary_divergence(one_AC: Tensor, other_AC: Tensor) -> Tensor:
    """() the same where each class is there or not by itself."""
    return ((one_AC.sigmoid() - other_AC.sigmoid()) * (one_AC - other_AC)).sum() / 2
