"""The mean of the weights that a training goes through."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Average:
    """An exponential moving average (EMA): weights count `decay` times as much as those one update later.

    It begins at the first update and not at 0 or at the pretrained weights, so that early averages are no worse than late ones: the
    share of the newest is (1 - decay) / (1 - decay^n) after n updates, which is 1 at first.

    Source: Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv:1703.01780; the share, Kingma and Ba 2015, arXiv:1412.6980.
    """

    def __init__(self, weights: Sequence[Tensor], *, decay: float):
        self.means = [weight.detach().clone() for weight in weights]
        self.count = 0  # updates that have been averaged
        self._decay = decay

    @torch.no_grad()
    def add(self, weights: Sequence[Tensor]) -> None:
        self.count += 1
        torch._foreach_lerp_(self.means, weights, (1 - self._decay) / (1 - self._decay**self.count))


@torch.no_grad()
def blend(mean: Mapping[str, Tensor], other: Mapping[str, Tensor], *, count: int) -> dict[str, Tensor]:
    """The mean of so many sets of weights, and another set -> the mean of one more."""
    return {name: torch.lerp(weight, other[name], 1 / (count + 1)) for name, weight in mean.items()}
