"""Dropout to the pretrained weights instead of to zero."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from headway.regularize import drop


class Mixout:
    """Weights of which, in every update, a share `p` drawn anew is the pretrained one; the others are as much further from it.

    With u pretrained and w learned, what is computed with is u + dropout(w - u), w in the mean. Masks are a function of the seed, the
    update and the weight, and all pieces of an update have the same.

    Source: Lee et al. 2020, arXiv:1909.11299.
    """

    def __init__(self, pretrained: Sequence[Tensor], *, p: float, seed: int):
        self._pretrained = [weight.detach().clone() for weight in pretrained]
        self._p, self._seed = p, seed

    @torch.no_grad()
    def mix(self, weights: Sequence[Tensor], *, step: int) -> list[Tensor]:
        """What the network computes with in an update."""
        pairs = enumerate(zip(self._pretrained, weights, strict=True))
        return [there + self._drop(weight - there, step, number) for number, (there, weight) in pairs]

    @torch.no_grad()
    def back(self, gradients: Sequence[Tensor | None], *, step: int) -> None:
        """Gradients of what `mix` gave become those of the weights, in place."""
        for number, gradient in enumerate(gradients):
            if gradient is not None:
                gradient.copy_(self._drop(gradient, step, number))

    def _drop(self, x: Tensor, step: int, number: int) -> Tensor:
        torch.manual_seed(int(np.random.SeedSequence((self._seed, step, number, 1)).generate_state(1, np.uint64)[0] >> 1))
        return drop(x, self._p)
